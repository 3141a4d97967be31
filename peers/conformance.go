package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/hauberk-rpc/hauberk/peers/behind"
)

// conformance is the cases of connectrpc.com/conformance that use gRPC, for the
// server or the client that the project has for grpc-go.
type conformance struct {
	w    *workspace
	side string // server or client

	runner, program string
}

func (c *conformance) build(ctx context.Context) (err error) {
	if c.runner, err = c.w.build(ctx, "conformance", "./cmd/connectconformance"); err != nil {
		return err
	}
	c.program, err = c.w.build(ctx, "conformance", "./cmd/grpc"+c.side)
	return err
}

func (c *conformance) run(ctx context.Context, chain string, only []string) (results, error) {
	//nolint:prealloc // next to none
	args := []string{"--conf", filepath.Join("testing", "grpc-impls-config.yaml"), "--vv", "--mode", c.side}
	for _, name := range only {
		args = append(args, "--run", name)
	}
	// The runner is itself built of rewritten packages: only the program that it
	// starts may have a chain.
	args = append(args, "--", "/usr/bin/env", behind.ChainVar+"="+chain, c.program)
	cmd := exec.CommandContext(ctx, c.runner, args...)
	cmd.Dir, cmd.Env = c.w.path("conformance"), c.w.env()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops what it has started
	cmd.WaitDelay = 5 * time.Second
	out, runErr := cmd.CombinedOutput() // an error reports no more than the cases do
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	log := "conformance-" + c.side + "-" + orBare(chain)
	if len(only) > 0 {
		log += "-again"
	}
	if err := c.w.log(log, out); err != nil {
		return nil, err
	}
	r, err := parseConformance(out)
	if err != nil {
		return nil, fmt.Errorf("%w: %w\n%s", err, runErr, tail(string(out)))
	}
	return r, nil
}

var (
	caseSent   = regexp.MustCompile(`Sending request for "(.*)"\.{3}`)
	caseFailed = regexp.MustCompile(`^FAILED: (.*):$`)
)

// parseConformance returns the outcomes in the output of the runner.
func parseConformance(out []byte) (results, error) {
	r := make(results)
	complete := false
	failing := "" // the case whose failure the lines are about
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, len(out)+1)
	for scanner.Scan() {
		line := scanner.Text()
		if m := caseSent.FindStringSubmatch(line); m != nil {
			r[m[1]] = outcome{verdict: passed}
		} else if m := caseFailed.FindStringSubmatch(line); m != nil {
			failing = m[1]
			r[failing] = outcome{verdict: failed}
		} else if strings.HasPrefix(line, "Total cases: ") {
			complete = true
		} else if strings.Contains(line, "could not be run") {
			return nil, errors.New("not all cases were run")
		} else if o, ok := r[failing]; ok && strings.HasPrefix(line, "\t") {
			o.output += strings.TrimSpace(line) + "\n"
			r[failing] = o
		}
	}
	if !complete {
		return nil, errors.New("the runner did not finish")
	}
	return r, nil
}
