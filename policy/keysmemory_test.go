package policy_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/policy"
)

// counting counts the calls that it executes.
type counting struct {
	testpb.UnimplementedTestServiceServer

	executed int
}

func (s *counting) Unary(context.Context, *testpb.Request) (*testpb.Response, error) {
	s.executed++
	return &testpb.Response{}, nil
}

// Idempotency keys in memory outlive a change of their entry, so that a repeat of a call from before a reload does not
// execute. They end with the last policy that has them.
func TestIdempotencyKeysAreHandedOver(t *testing.T) {
	service := new(counting)
	parse := func(settings string, previous *policy.Policy) *policy.Policy {
		t.Helper()
		text := "version: 1\nserver:\n  - {use: idempotency" + settings + "}\n"
		p, err := policy.Parse("policy.yaml", []byte(text), policy.WithPrevious(previous))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return p
	}
	call := func(p *policy.Policy, want int) {
		t.Helper()
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("idempotency-key", "k"))
		if err := (hauberktest.Direct{Service: service}).Server(p.Server())(ctx); err != nil {
			t.Fatal(err)
		}
		if service.executed != want {
			t.Errorf("executed %d times; want %d", service.executed, want)
		}
	}
	first := parse("", nil)
	call(first, 1)
	call(first, 1)
	changed := parse(", max_run: 1m", first)
	if changed.Entries()[0].Kept {
		t.Error("the entry has changed, and was kept")
	}
	call(changed, 1)
	methods := parse(", methods: [hauberk.test.v1.*], memory: {max_keys: 524288}", changed)
	for _, p := range []*policy.Policy{first, changed} {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	call(methods, 1)
	call(parse(", memory: {max_keys: 7}", methods), 2)
	if err := methods.Close(); err != nil {
		t.Fatal(err)
	}
	call(parse("", methods), 3) // no policy had the keys any more
}
