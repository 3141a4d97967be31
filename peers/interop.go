package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// interopCases are grpc-go's interop cases that need nothing but a server. See
// interop/interop_test.sh there.
func interopCases() []string {
	return []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
		"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
		"status_code_and_message", "special_status_message", "custom_metadata",
		"unimplemented_method", "unimplemented_service",
		"orca_per_rpc", "orca_oob", "rpc_soak", "channel_soak",
	}
}

// interop is grpc-go's interop client against its interop server, with a chain on
// one side.
type interop struct {
	w    *workspace
	side string // server or client

	server, client string
}

func (i *interop) build(ctx context.Context) (err error) {
	if i.server, err = i.w.build(ctx, "grpc", "./interop/server"); err != nil {
		return err
	}
	i.client, err = i.w.build(ctx, "grpc", "./interop/client")
	return err
}

func (i *interop) run(ctx context.Context, chain string, only []string) (results, error) {
	env := []string{behind.ChainVar + "=" + chain}
	serverEnv, clientEnv := env, []string(nil)
	if i.side == "client" {
		serverEnv, clientEnv = nil, env
	}
	addr, stop, err := i.serve(ctx, serverEnv)
	if err != nil {
		return nil, err
	}
	defer stop()
	r := make(results)
	var log strings.Builder
	for _, name := range interopCases() {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		o := i.call(ctx, addr, name, clientEnv)
		r[name] = o
		fmt.Fprintf(&log, "== %s: %s\n%s\n", name, o.verdict, o.output)
	}
	name := "interop-" + i.side + "-" + orBare(chain)
	if len(only) > 0 {
		name += "-again"
	}
	return r, errors.Join(ctx.Err(), i.w.log(name, []byte(log.String())))
}

// serve starts a server and returns the address that clients connect to.
func (i *interop) serve(ctx context.Context, env []string) (addr string, stop func(), err error) {
	file := i.w.path("out", "interop.address")
	if err := os.RemoveAll(file); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, i.server, "--port=0")
	cmd.Dir, cmd.Env = i.w.path("grpc"), i.w.env(append(env, behind.AddressVar+"="+file)...)
	if err := cmd.Start(); err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() {
		cancel()
		_ = cmd.Wait()
	}
	for range 200 {
		if text, err := os.ReadFile(file); err == nil {
			return string(text), stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("the interop server did not come up")
}

// call runs the client of one case.
func (i *interop) call(ctx context.Context, addr, name string, env []string) outcome {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return outcome{verdict: failed, output: err.Error()}
	}
	args := []string{"--server_host=" + host, "--server_port=" + port, "--test_case=" + name}
	switch {
	case strings.HasPrefix(name, "orca_"):
		args = append(args, `--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`)
	case strings.HasSuffix(name, "_soak"):
		args = append(args, "--soak_iterations=30", "--soak_num_threads=3", "--soak_overall_timeout_seconds=40",
			"--soak_per_iteration_max_acceptable_latency_ms=5000")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, i.client, args...)
	cmd.Dir, cmd.Env = i.w.path("grpc"), i.w.env(env...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	o := outcome{verdict: passed, took: time.Since(start), output: string(out)}
	if err != nil {
		o.verdict, o.output = failed, o.output+err.Error()
	}
	return o
}
