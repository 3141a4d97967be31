package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// process is a child process that serves calls, and answers questions about itself on
// its standard input: see control.go.
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

// stop closes the child's standard input, which ends it, and waits for its end.
func (p *process) stop() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

func stopAll(processes []*process) {
	for _, p := range processes {
		p.stop()
	}
}

// ask sends a command to the child and returns its answer.
func (p *process) ask(command string) (string, error) {
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return "", err
	}
	if !p.out.Scan() {
		return "", io.ErrUnexpectedEOF
	}
	answer := p.out.Text()
	if text, failed := strings.CutPrefix(answer, failure); failed {
		return "", errors.New(text)
	}
	return answer, nil
}

func (p *process) askNumber(command string) (int64, error) {
	answer, err := p.ask(command)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(answer, 10, 64)
}

// cpu returns the CPU time that the child has used.
func (p *process) cpu() (time.Duration, error) {
	us, err := p.askNumber(cpuCommand)
	return time.Duration(us) * time.Microsecond, err
}

// memory returns the bytes of the child's live heap and of its stacks.
func (p *process) memory() (int64, error) { return p.askNumber(memoryCommand) }

// startProfile starts a CPU profile of the child, which stopProfile writes to file.
func (p *process) startProfile(file string) error {
	_, err := p.ask(profileCommand + " " + file)
	return err
}

func (p *process) stopProfile() error {
	_, err := p.ask(stopCommand)
	return err
}

// cpuOf returns the CPU time per call that the child uses while calls run.
func (p *process) cpuOf(calls int, run func(calls int) error) (ns float64, err error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := run(calls); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return float64((after - before).Nanoseconds()) / float64(calls), err
}
