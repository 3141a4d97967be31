package limitsfile_test

import (
	"fmt"

	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// What is wrong with a file is reported with its place.
func Example() {
	_, err := limitsfile.Parse("limits.yaml", []byte(`
limits:
  - domain: shop
    descriptors:
      - key: user
        limit: 100 per minute
      - key: user
        value: batch
        limit: 0/1m
`))
	fmt.Println(err)
	// Output:
	// limits.yaml:6:16: limit is "100 per minute"; want a number and a time, such as 100/1m
	// limits.yaml:9:16: the limit is 0 permits; want 1 to 4294967295
}
