package policyimport_test

import (
	"fmt"
	"testing"

	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policyimport"
)

// The client chain of a service config.
func ExampleServiceConfig() {
	file, notes, err := policyimport.ServiceConfig([]byte(`{"methodConfig": [
		{"name": [{"service": "shop.v1.Cart"}], "timeout": "1.5s", "waitForReady": true}
	]}`))
	fmt.Print(string(file))
	fmt.Println(notes, err)
	// Output:
	// version: 1
	// client:
	//   - use: deadline
	//     methods: ["shop.v1.Cart/*"]
	//     max: 1.5s
	// [shop.v1.Cart/*: waitForReady is not imported: it is an option of calls] <nil>
}

// What is imported without an error is a valid policy file.
func FuzzServiceConfig(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"methodConfig": [{"name": [{}, {"service": "a.B", "method": "C"}], "timeout": "1s"}]}`))
	f.Add([]byte(`{"methodConfig": [{"name": [{"service": "a.B"}], "hedgingPolicy": {"maxAttempts": 2}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, _, err := policyimport.ServiceConfig(data)
		if err != nil {
			return
		}
		p, err := policy.Parse("policy.yaml", file)
		if err != nil {
			t.Fatalf("%v of\n%s", err, file)
		}
		_ = p.Close()
	})
}
