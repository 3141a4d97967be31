package main

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

func main() {
	testing.Init()
	role := flag.String("role", "", "run as one of the processes under load (used by bench itself)")
	upstream := flag.String("upstream", "", "address that a proxy forwards to (used by bench itself)")
	short := flag.Bool("short", false, "fewer and shorter samples: a check that everything runs, not figures to quote")
	only := flag.String("only", "",
		"measure only this part: process, servers, proxies, profile, shared, sidecar or curves; nothing is written")
	add := flag.Bool("add", false, "with -only sidecar: write the results to those of an earlier run")
	out := flag.String("out", ".", "folder to write the results to")
	keep := flag.String("cpuprofile", "", "file to keep the CPU profile of the whole chain in")
	render := flag.Bool("render", false, "measure nothing; write the other files again from results.json")
	flag.Parse()
	switch {
	case *role != "":
		exitOn(serveRole(*role, *upstream))
	case *render:
		exitOn(renderAgain(*out))
	default:
		size := sizesFor(*short)
		size.profile = *keep
		if *add {
			exitOn(addSidecarTo(size, *out))
			return
		}
		exitOn(run(size, *only, *out))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// sizes are how much is measured.
type sizes struct {
	Short     bool   `json:"short"`
	Rounds    int    `json:"rounds"`        // of each measurement in this process
	Benchtime string `json:"benchtime"`     // of each round
	Pairs     int    `json:"pairs"`         // rounds of each measurement of a process
	Calls     int    `json:"calls"`         // of each such round
	Profiled  int    `json:"profile_calls"` // calls of each process that is profiled
	Curves    int    `json:"curve_rounds"`  // of each point of a curve
	Largest   int    `json:"largest"`       // x of any point of a curve, at most

	profile string // file to keep the CPU profile in
}

func sizesFor(short bool) sizes {
	if short {
		return sizes{
			Short: true, Rounds: 3, Benchtime: "10ms", Pairs: 3, Calls: 500,
			Profiled: 20_000, Curves: 2, Largest: 10_000,
		}
	}
	return sizes{
		Rounds: 15, Benchtime: "60ms", Pairs: 20, Calls: 6000,
		Profiled: 600_000, Curves: 7, Largest: 1_000_000,
	}
}

// part is one kind of measurement. It adds its results to a report.
type part struct {
	name    string
	measure func(size sizes, to *report) error
}

func parts() []part {
	return []part{
		{"process", func(size sizes, to *report) error {
			to.Rows = append(to.Rows, measureInProcess(size)...)
			return nil
		}},
		{"servers", func(size sizes, to *report) error { return to.addProcesses(size, serverContest()) }},
		{"proxies", func(size sizes, to *report) error { return to.addProcesses(size, proxyContest()) }},
		{"profile", func(size sizes, to *report) (err error) {
			to.Profile, err = measureProfile(size)
			return err
		}},
		{"shared", func(size sizes, to *report) (err error) {
			to.Shared, err = measureShared(size)
			return err
		}},
		{"sidecar", func(size sizes, to *report) (err error) {
			to.Sidecar, err = measureSidecar(size)
			return err
		}},
		{"curves", func(size sizes, to *report) (err error) {
			to.Curves, err = measureCurves(size)
			return err
		}},
	}
}

func (r *report) addProcesses(size sizes, c processContest) error {
	rows, err := measureProcesses(size, c)
	r.Rows = append(r.Rows, rows...)
	return err
}

func run(size sizes, only, out string) error {
	report := newReport(size)
	for _, p := range parts() {
		if only != "" && only != p.name {
			continue
		}
		fmt.Println(p.name)
		if err := p.measure(size, report); err != nil {
			return err
		}
	}
	report.judge()
	report.printMissed()
	if only != "" {
		return nil
	}
	return report.write(out)
}
