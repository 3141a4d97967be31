package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// measureStreams opens streams on server processes and measures the memory of the servers.
func measureStreams(size sizes) (*curve.Curve, error) {
	out := &curve.Curve{
		Name: "streams", Title: "Memory of a server with open bidi streams", X: "open streams",
		Y: "live heap and stacks in KiB", Unit: "KiB", Shape: curve.Linear, LogX: true, LogY: true,
	}
	for _, role := range []processRole{
		{name: "bare grpc-go", role: "server-bare"},
		{name: "Hauberk, six interceptors", role: "server-hauberk"},
	} {
		points, err := memoryOfStreams(role.role, size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", role.name, err)
		}
		out.Series = append(out.Series, curve.Series{Name: role.name, Points: points})
	}
	return out, nil
}

// memoryOfStreams opens more and more streams on one process, which ends with them.
func memoryOfStreams(role string, size sizes) ([]curve.Point, error) {
	p, err := startProcess(role, "")
	if p != nil {
		defer p.stop()
	}
	if err != nil {
		return nil, err
	}
	ctx, err := accepted.context()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var points []curve.Point
	open := 0
	for _, n := range []int{1, 10, 100, 1000, 10_000, 100_000} {
		if n > size.Largest {
			break
		}
		if err := openStreams(ctx, p, n-open); err != nil {
			return nil, err
		}
		open = n
		bytes, err := p.memory()
		if err != nil {
			return nil, err
		}
		points = append(points, curve.Point{X: float64(n), Y: float64(bytes) / 1024})
	}
	return points, nil
}

// openStreams opens n streams, which end with ctx, and returns when the handler of each
// runs.
func openStreams(ctx context.Context, p *process, n int) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		client := testpb.NewTestServiceClient(p.conns[i%len(p.conns)])
		share := n / callers
		if i < n%callers {
			share++
		}
		all.Go(func() {
			for range share {
				if errs[i] = openStream(ctx, client); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return firstError(errs)
}

func openStream(ctx context.Context, client testpb.TestServiceClient) error {
	stream, err := client.Bidi(ctx)
	if err != nil {
		return err
	}
	_, err = stream.Header()
	return err
}
