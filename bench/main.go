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
	only := flag.String("only", "", "measure only this part: process, servers or proxies; nothing is written")
	flag.Parse()
	if *role != "" {
		exitOn(serveRole(*role, *upstream))
		return
	}
	exitOn(run(sizesFor(*short), *only))
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

// part is one kind of measurement.
type part struct {
	name    string
	measure func(size sizes) ([]row, error)
}

func parts() []part {
	return []part{
		{"process", func(size sizes) ([]row, error) { return measureInProcess(size), nil }},
		{"servers", func(size sizes) ([]row, error) { return measureProcesses(size, serverContest()) }},
		{"proxies", func(size sizes) ([]row, error) { return measureProcesses(size, proxyContest()) }},
	}
}

func run(size sizes, only string) error {
	report := newReport(size)
	for _, p := range parts() {
		if only != "" && only != p.name {
			continue
		}
		fmt.Println(p.name)
		rows, err := p.measure(size)
		if err != nil {
			return err
		}
		report.add(rows...)
	}
	if only != "" {
		return nil
	}
	return report.write()
}
