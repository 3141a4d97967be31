package main

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

func main() {
	testing.Init()
	role := flag.String("role", "", "run as one of the processes under load (used by bench itself)")
	upstream := flag.String("upstream", "", "where a proxy forwards to (used by bench itself)")
	short := flag.Bool("short", false, "fewer and shorter samples: a check that everything runs, not figures to quote")
	flag.Parse()
	if *role != "" {
		exitOn(serveRole(*role, *upstream))
		return
	}
	exitOn(run(sizesFor(*short)))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// sizes say how much is measured.
type sizes struct {
	rounds    int           // of each measurement in this process
	benchtime time.Duration // of each round
	pairs     int           // of each measurement of a process
	calls     int           // in each half of a pair
}

func sizesFor(short bool) sizes {
	if short {
		return sizes{rounds: 3, benchtime: 10 * time.Millisecond, pairs: 3, calls: 500}
	}
	return sizes{rounds: 15, benchtime: 60 * time.Millisecond, pairs: 20, calls: 6000}
}

func run(size sizes) error {
	report := newReport(size)
	fmt.Println("in this process …")
	report.add(measureInProcess(size)...)
	fmt.Println("servers …")
	rows, err := measureProcesses(size, serverContest())
	if err != nil {
		return err
	}
	report.add(rows...)
	fmt.Println("proxies …")
	rows, err = measureProcesses(size, proxyContest())
	if err != nil {
		return err
	}
	report.add(rows...)
	return report.write()
}
