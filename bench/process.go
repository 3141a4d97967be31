package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// processContest is processes under the same load, in pairs with the first.
type processContest struct {
	name    string
	roles   []processRole
	proxies bool // the roles forward to a backend process
}

type processRole struct {
	name, role string
	ratio      float64 // the budget, as a multiple of the first role; 0 is none
}

func serverContest() processContest {
	return processContest{name: "server process, CPU per unary call", roles: []processRole{
		{name: "bare grpc-go", role: "server-bare"},
		{name: wholeName, role: "server-hauberk", ratio: 1.06},
		{name: middlewareName, role: "server-middleware"},
		{name: "bare grpc-go with as many stream workers as Hauberk", role: "server-bare-workers"},
	}}
}

func proxyContest() processContest {
	return processContest{name: "proxy process, CPU per unary call", proxies: true, roles: []processRole{
		{name: "plain grpc-go proxy", role: "proxy-plain"},
		{name: "Hauberk sidecar, no policy", role: "proxy-hauberk", ratio: 1.15},
		{name: sidecarName, role: "proxy-hauberk-full"},
	}}
}

// process is a child that serves, and tells on request what CPU time it has used.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	addr  string
	conns []*grpc.ClientConn
}

func startProcess(role, upstream string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, "-role", role, "-upstream", upstream)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if !p.out.Scan() {
		return nil, fmt.Errorf("the process %s ended before it served", role)
	}
	p.addr = p.out.Text()
	err = p.dial()
	return p, err
}

func (p *process) dial() error {
	for range 2 {
		conn, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		p.conns = append(p.conns, conn)
	}
	return nil
}

// stop lets the child end, which it does when its standard input is closed.
func (p *process) stop() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

// cpu returns the CPU time that the child has used.
func (p *process) cpu() (time.Duration, error) {
	if _, err := io.WriteString(p.in, "cpu\n"); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, io.ErrUnexpectedEOF
	}
	us, err := strconv.ParseInt(p.out.Text(), 10, 64)
	return time.Duration(us) * time.Microsecond, err
}

// load makes calls from a few goroutines and returns the child's CPU time a call.
func (p *process) load(calls int) (ns float64, err error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := p.call(calls); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return float64((after - before).Nanoseconds()) / float64(calls), err
}

const callers = 8

func (p *process) call(calls int) error {
	authorization, err := newAuthorization()
	if err != nil {
		return err
	}
	authorized := metadata.AppendToOutgoingContext(context.Background(), "authorization", authorization)
	var left atomic.Int64
	left.Store(int64(calls))
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		client := testpb.NewTestServiceClient(p.conns[i%len(p.conns)])
		all.Go(func() {
			req := &testpb.Request{Payload: make([]byte, 100)}
			for left.Add(-1) >= 0 && errs[i] == nil {
				ctx, cancel := context.WithTimeout(authorized, 10*time.Second)
				_, errs[i] = client.Unary(ctx, req)
				cancel()
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// measureProcesses loads the processes of a contest in turn.
func measureProcesses(size sizes, c processContest) ([]row, error) {
	upstream := ""
	if c.proxies {
		backend, err := startProcess("server-bare", "")
		if err != nil {
			return nil, err
		}
		defer backend.stop()
		upstream = backend.addr
	}
	processes, err := c.start(upstream, size.calls/2)
	defer stopAll(processes)
	if err != nil {
		return nil, err
	}
	samples := make([][]float64, len(processes))
	for range size.pairs {
		for i, p := range processes {
			ns, err := p.load(size.calls)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.roles[i].name, err)
			}
			samples[i] = append(samples[i], ns)
		}
	}
	return c.rows(samples), nil
}

// start starts and warms up the processes of a contest. Those that it returns are
// to be stopped, also beside an error.
func (c processContest) start(upstream string, calls int) (processes []*process, err error) {
	for _, r := range c.roles {
		p, err := startProcess(r.role, upstream)
		if p != nil {
			processes = append(processes, p)
		}
		if err == nil {
			err = p.call(calls)
		}
		if err != nil {
			return processes, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return processes, nil
}

func stopAll(processes []*process) {
	for _, p := range processes {
		p.stop()
	}
}

func (c processContest) rows(samples [][]float64) []row {
	rows := make([]row, 0, len(c.roles))
	for i, r := range c.roles {
		ratios := make([]float64, 0, len(samples[i]))
		for pair, ns := range samples[i] {
			ratios = append(ratios, ns/samples[0][pair])
		}
		out := row{
			Contest: c.name, Variant: r.name, Unit: "ns CPU/call",
			Median: median(samples[i]), Ratio: median(ratios), Rounds: len(ratios),
		}
		if r.ratio > 0 {
			out.judgeRatio(r.ratio)
		}
		fmt.Println("  ", out.String())
		rows = append(rows, out)
	}
	return rows
}

// serveControl answers the parent on standard input and returns when it is closed.
func serveControl() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if strings.TrimSpace(in.Text()) != "cpu" {
			continue
		}
		var use syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
		fmt.Println((use.Utime.Nano() + use.Stime.Nano()) / int64(time.Microsecond))
	}
}
