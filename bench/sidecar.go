package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// sidecarVariant is a proxy in one configuration.
type sidecarVariant struct {
	name   string
	policy bool // with the whole policy, as far as the proxy has it
	start  func(upstream string) (*measured, error)
}

// envoyName is the proxy that the others are compared with.
const envoyName = "Envoy"

// sidecarVariants are the proxies, without policy and with it. "direct" is no proxy.
func sidecarVariants() []sidecarVariant {
	return []sidecarVariant{
		{"direct", false, direct},
		{envoyName, false, startEnvoy(false)},
		{"nginx", false, startNginx},
		{"HAProxy", false, startHAProxy},
		{plainProxyName, false, ownRole("proxy-plain")},
		{"Hauberk, grpc", false, ownRole("proxy-hauberk")},
		{"Hauberk, frames", false, ownRole("proxy-frames")},
		{envoyName, true, startEnvoy(true)},
		{"Hauberk, grpc", true, ownRole("proxy-hauberk-full")},
		{"Hauberk, frames", true, ownRole("proxy-frames-full")},
	}
}

// sidecarRow is what a proxy costs under one load: medians of all rounds.
type sidecarRow struct {
	Load    string  `json:"load"`
	Conns   int     `json:"connections"`
	Proxy   string  `json:"proxy"`
	Policy  bool    `json:"policy"`
	CPU     float64 `json:"cpu_ns_per_call"`          // of the proxy; 0 for direct calls
	Ratio   float64 `json:"ratio_to_envoy,omitempty"` // of the CPU time, with the same policy
	PerSec  float64 `json:"calls_per_second"`
	P50     float64 `json:"p50_ns"`
	P99     float64 `json:"p99_ns"`
	PerIdle float64 `json:"bytes_per_idle_stream,omitempty"` // resident memory; only in rows of idle streams
}

// measureSidecar measures each proxy under each load, in turn in each round.
func measureSidecar(size sizes) ([]sidecarRow, error) {
	backend, err := startProcess("server-sidecar", "")
	if err != nil {
		return nil, err
	}
	defer backend.stop()
	proxies, err := startSidecars(backend.addr)
	defer func() {
		for _, p := range proxies {
			p.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	var rows []sidecarRow
	for _, load := range sidecarLoads(size) {
		for _, conns := range load.conns {
			measured, err := measureSidecarLoad(size, load, conns, proxies)
			if err != nil {
				return nil, err
			}
			rows = append(rows, measured...)
		}
	}
	idle, err := measureSidecarIdle(size, proxies)
	return append(rows, idle...), err
}

// addSidecarTo measures the proxies and replaces their rows in the results of an earlier run.
func addSidecarTo(size sizes, dir string) error {
	r, err := readReport(dir)
	if err != nil {
		return err
	}
	if r.Sidecar, err = measureSidecar(size); err != nil {
		return err
	}
	return r.write(dir)
}

// startSidecars starts the proxies that are installed.
func startSidecars(upstream string) (proxies []*measured, err error) {
	for _, v := range sidecarVariants() {
		p, err := v.start(upstream)
		if errors.Is(err, errNotInstalled) {
			fmt.Fprintf(os.Stderr, "bench: %s is not measured: %v\n", v.name, err)
			continue
		}
		if p != nil {
			p.variant = v
			proxies = append(proxies, p)
		}
		if err != nil {
			return proxies, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return proxies, nil
}

func measureSidecarLoad(size sizes, load sidecarLoad, conns int, proxies []*measured) ([]sidecarRow, error) {
	samples := make([][]sidecarRow, len(proxies))
	for round := range size.sidecarRounds() + 1 {
		for i, p := range proxies {
			sample, err := p.measure(load, conns)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, %d connections: %w", p.variant.name, load.name, conns, err)
			}
			if round > 0 { // the first one warms up
				samples[i] = append(samples[i], sample)
			}
		}
	}
	return sidecarRows(samples), nil
}

// sidecarRounds is the number of rounds of each load.
func (s sizes) sidecarRounds() int {
	if s.Short {
		return 1
	}
	return 7
}

// measure runs a load once.
func (p *measured) measure(load sidecarLoad, conns int) (sidecarRow, error) {
	before, err := p.cpu()
	if err != nil {
		return sidecarRow{}, err
	}
	begun := time.Now()
	latencies, err := load.run(p, conns)
	if err != nil {
		return sidecarRow{}, err
	}
	took := time.Since(begun)
	after, err := p.cpu()
	calls := float64(len(latencies))
	return sidecarRow{
		Load: load.name, Conns: conns, Proxy: p.variant.name, Policy: p.variant.policy,
		CPU: float64((after - before).Nanoseconds()) / calls, PerSec: calls / took.Seconds(),
		P50: quantile(latencies, 0.5), P99: quantile(latencies, 0.99),
	}, err
}

// sidecarRows returns the medians. Ratios are those to Envoy in the same round.
func sidecarRows(samples [][]sidecarRow) []sidecarRow {
	rows := make([]sidecarRow, 0, len(samples))
	for _, s := range samples {
		of := func(figure func(round int) float64) float64 {
			values := make([]float64, len(s))
			for i := range s {
				values[i] = figure(i)
			}
			return median(values)
		}
		row := s[0]
		row.CPU = of(func(i int) float64 { return s[i].CPU })
		row.PerSec = of(func(i int) float64 { return s[i].PerSec })
		row.P50 = of(func(i int) float64 { return s[i].P50 })
		row.P99 = of(func(i int) float64 { return s[i].P99 })
		row.PerIdle = of(func(i int) float64 { return s[i].PerIdle })
		if envoy := envoyOf(samples, row.Policy); envoy != nil && row.PerIdle == 0 {
			row.Ratio = of(func(i int) float64 { return s[i].CPU / envoy[i].CPU })
		}
		fmt.Println("  ", strings.Join(row.cells(), "  "))
		rows = append(rows, row)
	}
	return rows
}

func envoyOf(samples [][]sidecarRow, policy bool) []sidecarRow {
	for _, s := range samples {
		if s[0].Proxy == envoyName && s[0].Policy == policy {
			return s
		}
	}
	return nil
}

func (r sidecarRow) cells() []string {
	policy, ratio, cpu := "none", "-", "-"
	if r.Policy {
		policy = "whole"
	}
	if r.CPU > 0 {
		cpu = micros(r.CPU)
	}
	if r.Ratio > 0 && r.CPU > 0 {
		ratio = fmt.Sprintf("%.2f", r.Ratio)
	}
	if r.PerIdle > 0 {
		return []string{r.Load, strconv.Itoa(r.Conns), r.Proxy, policy, fmt.Sprintf("%.0f B", r.PerIdle)}
	}
	return []string{
		r.Load, strconv.Itoa(r.Conns), r.Proxy, policy, cpu, ratio,
		fmt.Sprintf("%.0f", r.PerSec), micros(r.P50), micros(r.P99),
	}
}

// addSidecar adds the proxies to RESULTS.md.
func (r *report) addSidecar(b *strings.Builder) {
	if len(r.Sidecar) == 0 {
		return
	}
	fmt.Fprintf(b, `
## The sidecar and other proxies

CPU time of the proxy's process for each call, throughput and latency, with clients and a service of grpc-go on the same
machine. "Saturated" is %d goroutines that call without a pause. The whole policy is request id, metrics, JSON log, JWT
and a limit by user; Envoy has those of its filters that correspond. The ratio is that of the CPU time to Envoy's with
the same policy, round by round.

| load | connections | proxy | policy | CPU | ratio | calls/s | p50 | p99 |
|---|---|---|---|---|---|---|---|---|
`, sidecarCallers)
	for _, row := range r.Sidecar {
		if row.PerIdle == 0 {
			tableRow(b, row.cells()...)
		}
	}
	b.WriteString("\nResident memory for each idle stream, over one connection:\n\n" +
		"| proxy | policy | memory |\n|---|---|---|\n")
	for _, row := range r.Sidecar {
		if row.PerIdle != 0 {
			tableRow(b, row.Proxy, row.cells()[3], fmt.Sprintf("%.1f KiB", row.PerIdle/1024))
		}
	}
}
