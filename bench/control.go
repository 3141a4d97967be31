package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The commands that a child process reads from its standard input, one in a line. It
// answers each with one line on its standard output.
const (
	cpuCommand     = "cpu"     // answer: the CPU time used, in microseconds
	memoryCommand  = "memory"  // answer: the bytes of the live heap and of stacks
	profileCommand = "profile" // starts a CPU profile that goes to the file that follows
	stopCommand    = "stop"    // ends the profile
)

// failure begins the answer to a command that failed.
const failure = "error: "

// serveControl answers commands and returns when standard input is closed.
func serveControl() {
	var file *os.File
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		command, argument, _ := strings.Cut(in.Text(), " ")
		answer, err := "", error(nil)
		switch command {
		case cpuCommand:
			answer = strconv.FormatInt(usedCPU().Microseconds(), 10)
		case memoryCommand:
			answer = strconv.FormatUint(liveMemory(), 10)
		case profileCommand:
			file, err = startProfile(argument)
		case stopCommand:
			pprof.StopCPUProfile()
			err = file.Close()
		default:
			err = fmt.Errorf("unknown command %q", command)
		}
		if err != nil {
			answer = failure + err.Error()
		}
		fmt.Println(answer)
	}
}

func usedCPU() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// liveMemory collects garbage first; the second run frees what finalizers and pools held.
func liveMemory() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}

func startProfile(name string) (*os.File, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return file, pprof.StartCPUProfile(file)
}
