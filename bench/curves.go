package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func measureCurves(size sizes) ([]*curve.Curve, error) {
	_ = flag.Set("test.benchtime", size.Benchtime)
	curves := make([]*curve.Curve, 0, 6)
	for _, c := range costCurves() {
		curves = append(curves, c.measure(size))
	}
	memory, err := measureStreams(size)
	if err != nil {
		return nil, err
	}
	curves = append(curves, memory)
	hedging, err := measureHedging(size)
	if err != nil {
		return nil, err
	}
	curves = append(curves, hedging...)
	for _, c := range curves {
		for _, s := range c.Series {
			fmt.Println("  ", c.Title+":", s.Name+":", slopeOf(c, s))
		}
	}
	return curves, nil
}

// slopeOf describes the line that fits a series: "flat: +1.2 ns per tenfold (R² 0.5)".
func slopeOf(c *curve.Curve, s curve.Series) string {
	line := curve.Fit(c.Shape, s.Points)
	return fmt.Sprintf("%s: %+.1f %s %s (R² %.3f)", c.Shape, line.Slope, c.Unit, c.Per(), line.R2)
}

// costCurve measures the time of a call in this process.
type costCurve struct {
	curve.Curve

	xs     []int
	series []costSeries
}

type costSeries struct {
	name string
	make func(x int) func() error // one call
}

func costCurves() []*costCurve {
	const unit, y = "ns", "time per call in ns"
	return []*costCurve{
		{
			Curve: curve.Curve{
				Name: "interceptors", Title: "Unary call behind idle interceptors", X: "interceptors",
				Y: y, Unit: unit, Shape: curve.Linear,
			},
			xs: []int{0, 1, 2, 4, 8, 16, 32, 64},
			series: []costSeries{
				{"server", func(n int) func() error { return serverUnary(idleChain(n), nil) }},
				{"client", func(n int) func() error { return clientCall(idleChain(n), hauberk.Unary) }},
			},
		},
		{
			Curve: curve.Curve{
				Name: "methods", Title: "Unary call of a random method", X: "registered methods",
				Y: y, Unit: unit, Shape: curve.Flat, LogX: true,
			},
			xs: []int{1, 10, 100, 1000, 10_000},
			series: []costSeries{
				{"server, empty chain", func(n int) func() error { return serverMethods(chainOf(), n) }},
				{"server, six interceptors", func(n int) func() error {
					return serverMethods(wholeChain(requestid.Config{NoEcho: true}), n)
				}},
			},
		},
		{
			Curve: curve.Curve{
				Name: "keys", Title: "Unary call with a random key of a limiter", X: "limiter keys",
				Y: y, Unit: unit, Shape: curve.Flat, LogX: true,
			},
			xs:     []int{1, 10, 100, 1000, 10_000, 100_000, 1_000_000},
			series: []costSeries{{"server, limit by state", limitedByState}},
		},
	}
}

// measure takes the points in turn, several times each. Each round makes its chains anew,
// since the garbage collector shares what they keep among all calls of the process.
func (c *costCurve) measure(size sizes) *curve.Curve {
	out := c.Curve
	for _, s := range c.series {
		samples := make([][]float64, len(c.xs))
		for range size.Curves {
			for i, x := range c.xs {
				if x <= size.Largest {
					runtime.GC()
					one := measure(variant{s.name, func() func() error { return s.make(x) }})
					samples[i] = append(samples[i], one.ns)
				}
			}
		}
		points := make([]curve.Point, 0, len(c.xs))
		for i, x := range c.xs {
			if len(samples[i]) > 0 {
				points = append(points, curve.Point{X: float64(x), Y: median(samples[i])})
			}
		}
		out.Series = append(out.Series, curve.Series{Name: s.name, Points: points})
	}
	return &out
}

// serverMethods serves calls of n methods in random order.
func serverMethods(chain *hauberk.Chain, n int) func() error {
	unary := testpb.TestService_ServiceDesc.Methods[0]
	desc := grpc.ServiceDesc{ServiceName: "bench.v1.Many"}
	for i := range n {
		unary.MethodName = "Method" + strconv.Itoa(i)
		desc.Methods = append(desc.Methods, unary)
	}
	var r registry
	chain.Registrar(&r).RegisterService(&desc, fixedService{})
	ctx, err := incomingContext()
	if err != nil {
		return failing(err)
	}
	methods := r.desc.Methods
	shuffle(methods)
	return inTurn(n, func(i int) error {
		_, err := methods[i].Handler(r.impl, ctx, decodeNothing, nil)
		return err
	})
}

// inTurn returns a function that calls one of n variants at a time. It has called each of
// them once before.
func inTurn(n int, call func(i int) error) func() error {
	for i := range n {
		if err := call(i); err != nil {
			return failing(err)
		}
	}
	i := 0
	return func() error {
		i = (i + 1) % n
		return call(i)
	}
}

// shuffle always gives the same order.
func shuffle[T any](all []T) {
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}
