// Command sim simulates limits under load, and writes a CSV and an SVG for each scenario:
//
//	go -C bench run ./sim -out curves
//
// internal/loadsim has the scenarios, and a test that asserts their numbers.
//
// TestOverload simulates retries during an overload. It is a test, since testing/synctest has the time that
// the interceptors see. It asserts its numbers, and writes the same files:
//
//	go -C bench test ./sim -run '^TestOverload$' -count 1 -args -out ../curves
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
	"github.com/hauberk-rpc/hauberk/internal/loadsim"
)

func main() {
	out := flag.String("out", "curves", "folder to write to")
	flag.Parse()
	for _, c := range []*curve.Curve{
		latencyStep("latency-step", "Adaptive limit: service ten times slower and back", 0),
		latencyStep("latency-step-slow", "The same with 5 % of calls of 2 s", 0.05),
		neighbours(),
		manyNodes(),
	} {
		if err := write(*out, c); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			os.Exit(1)
		}
		fmt.Println(c.Name)
	}
}

// write writes the CSV and the SVG of a curve.
func write(folder string, c *curve.Curve) error {
	for ext, text := range map[string]string{"csv": c.CSV(), "svg": c.SVG()} {
		if err := os.WriteFile(filepath.Join(folder, c.Name+"."+ext), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// latencyStep shows the throughput and the limit over time.
func latencyStep(name, title string, slow float64) *curve.Curve {
	c := &curve.Curve{
		Name: name, Title: title, X: "seconds", Y: "calls in a second; limit",
		Unit: "calls", LogY: true, Shape: curve.Linear,
		Series: []curve.Series{{Name: "throughput"}, {Name: "limit"}},
	}
	for i, s := range loadsim.LatencyStep(slow, 1).Run() {
		x := float64(i)
		c.Series[0].Points = append(c.Series[0].Points, curve.Point{X: x, Y: float64(max(s.Served, 1))})
		c.Series[1].Points = append(c.Series[1].Points, curve.Point{X: x, Y: float64(s.Limit)})
	}
	return c
}

// neighbours shows what two tenants get, of which one asks for 20 times its share.
func neighbours() *curve.Curve {
	c := &curve.Curve{
		Name: "noisy-neighbour", Title: "A tenant at 20 times its share, another at half", X: "seconds",
		Y: "calls in a second", Unit: "calls", Shape: curve.Linear,
		Series: []curve.Series{{Name: "loud, served"}, {Name: "quiet, served"}},
	}
	for i, s := range loadsim.Neighbours(50, false, 1).Run() {
		for k, n := range []int{s.PerCaller[0].Served, s.PerCaller[1].Served} {
			c.Series[k].Points = append(c.Series[k].Points, curve.Point{X: float64(i), Y: float64(n)})
		}
	}
	return c
}

// manyNodes shows a limit that 1,000 nodes share, at twice the demand that it admits.
func manyNodes() *curve.Curve {
	c := &curve.Curve{
		Name: "shared-limit", Title: "1,000 nodes share a limit, one is lost in each second", X: "seconds",
		Y: "in a second", Unit: "calls", Shape: curve.Linear,
		Series: []curve.Series{{Name: "calls"}, {Name: "admitted"}, {Name: "messages to the store"}, {Name: "limit"}},
	}
	for i, s := range loadsim.ManyNodes(2, 1).Run() {
		for k, n := range []int{s.Calls, s.Admitted, s.Trips, loadsim.SharedLimit} {
			c.Series[k].Points = append(c.Series[k].Points, curve.Point{X: float64(i), Y: float64(n)})
		}
	}
	return c
}
