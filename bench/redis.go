package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// redisServer is a redis-server without files.
type redisServer struct {
	addr    string
	process *exec.Cmd
	admin   rueidis.Client
}

// startRedis starts a redis-server on a free port and waits until it answers.
func startRedis() (*redisServer, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &redisServer{addr: lis.Addr().String()}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	_ = lis.Close()
	s.process = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
	s.process.Dir = os.TempDir()
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("install redis-server first (scripts/ensure.sh redis-server): %w", err)
	}
	for range 100 {
		s.admin, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr}, DisableCache: true})
		if err == nil {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.kill()
	return nil, fmt.Errorf("redis-server does not answer at %s after 5 s: %w", s.addr, err)
}

func (s *redisServer) stop() {
	s.admin.Close()
	s.kill()
}

func (s *redisServer) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// clear removes all keys.
func (s *redisServer) clear() error {
	return s.admin.Do(context.Background(), s.admin.B().Flushall().Build()).Error()
}

// redisUsage is what a server has done so far.
type redisUsage struct {
	calls int64 // of the command
	cpu   time.Duration
}

// usage returns what the server has done so far, with the calls of one command.
func (s *redisServer) usage(command string) (redisUsage, error) {
	info, err := s.admin.Do(context.Background(),
		s.admin.B().Info().Section("cpu", "commandstats").Build()).ToString()
	if err != nil {
		return redisUsage{}, err
	}
	var u redisUsage
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "used_cpu_sys", "used_cpu_user":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return redisUsage{}, err
			}
			u.cpu += time.Duration(seconds * float64(time.Second))
		case "cmdstat_" + command:
			if _, err := fmt.Sscanf(value, "calls=%d,", &u.calls); err != nil {
				return redisUsage{}, fmt.Errorf("%s: %w", line, err)
			}
		}
	}
	return u, nil
}
