package transform_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// BenchmarkClient compares settings with an empty chain, for a unary call that is not sent.
func BenchmarkClient(b *testing.B) {
	tenant := metadata.MD{"x-tenant": {"shop"}}
	for name, x := range map[string]*transform.Interceptor{
		"nothing":         transform.New(transform.Config{}),
		"metadata added":  transform.New(transform.Config{Metadata: transform.Metadata{Add: tenant}}),
		"metadata set":    transform.New(transform.Config{Metadata: transform.Metadata{Set: tenant}}),
		"default timeout": transform.New(transform.Config{DefaultTimeout: time.Hour}),
		"call option":     transform.New(transform.Config{WaitForReady: new(true)}),
		"statuses":        transform.New(transform.Config{Statuses: []transform.Status{{From: codes.NotFound, To: codes.Aborted}}}),
		"request edited":  transform.New(transform.Config{}, transform.EditRequests(func(*testpb.Request) error { return nil })),
	} {
		b.Run(name, func(b *testing.B) {
			call := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(x)))
			b.ReportAllocs()
			for b.Loop() {
				if err := call(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("empty chain", func(b *testing.B) {
		call := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New()))
		b.ReportAllocs()
		for b.Loop() {
			if err := call(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Settings that a call does not use cost no allocation.
func TestIdleAllocations(t *testing.T) {
	idle := transform.New(transform.Config{
		MaxTimeout: 0, Statuses: []transform.Status{{From: codes.NotFound, To: codes.Aborted}},
	})
	with, without := allocations(t, idle), allocations(t)
	if with > without {
		t.Errorf("%v allocations beyond an empty chain; want 0", with-without)
	}
}

func allocations(t *testing.T, interceptors ...hauberk.Interceptor) float64 {
	t.Helper()
	call := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(interceptors...)))
	ctx := t.Context()
	return testing.AllocsPerRun(1000, func() {
		if err := call(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
