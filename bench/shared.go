package main

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sharedNodes and sharedWorkers are the nodes that share a limit, and the goroutines of each of them that ask
// for the next decision as soon as they have one.
const (
	sharedNodes   = 4
	sharedWorkers = 8
)

// sharedLimit is a limit that nodes share: permits a second for each of a number of keys. The burst is a
// tenth of them.
type sharedLimit struct {
	keys, rate int
}

func sharedLimits() []sharedLimit { return []sharedLimit{{1, 40_000}, {1, 2_000}, {1_000, 100}} }

func (l sharedLimit) burst() int { return l.rate / 10 }

func (l sharedLimit) String() string {
	if l.keys == 1 {
		return fmt.Sprintf("%d a second, 1 key", l.rate)
	}
	return fmt.Sprintf("%d a second, %d keys", l.rate, l.keys)
}

// sharedRow is what a way to share a limit costs and admits: medians of all rounds.
type sharedRow struct {
	Limit      string  `json:"limit"`
	Variant    string  `json:"variant"`
	Decisions  float64 `json:"decisions_per_second"`
	RoundTrips float64 `json:"round_trips_per_decision"`
	NodeCPU    float64 `json:"node_cpu_ns_per_decision"`
	RedisCPU   float64 `json:"redis_cpu_ns_per_decision"`
	Demand     float64 `json:"demand"`   // decisions ÷ what the limit allows in that time
	Admitted   float64 `json:"admitted"` // admitted ÷ what the limit allows in that time
	Most       float64 `json:"most"`     // most admitted in a second ÷ what the limit allows in a second
}

// measureShared measures every limit with every variant, one variant after the other in each round, on one
// redis-server.
func measureShared(size sizes) ([]sharedRow, error) {
	redis, err := startRedis()
	if err != nil {
		return nil, err
	}
	defer redis.stop()
	rounds, lasting := 5, 3*time.Second
	if size.Short {
		rounds, lasting = 1, 100*time.Millisecond
	}
	var rows []sharedRow
	for _, limit := range sharedLimits() {
		variants := sharedVariants()
		samples := make([][]sharedRow, len(variants))
		for range rounds {
			for i, v := range variants {
				sample, err := v.measure(redis, limit, lasting)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", limit, v.name, err)
				}
				samples[i] = append(samples[i], sample)
			}
		}
		for _, s := range samples {
			rows = append(rows, medianShared(s))
			fmt.Println(strings.Join(rows[len(rows)-1].cells(), "  "))
		}
	}
	return rows, nil
}

// medianShared returns the median of each figure.
func medianShared(samples []sharedRow) sharedRow {
	of := func(figure func(s sharedRow) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = figure(s)
		}
		return median(values)
	}
	return sharedRow{
		Limit: samples[0].Limit, Variant: samples[0].Variant,
		Decisions:  of(func(s sharedRow) float64 { return s.Decisions }),
		RoundTrips: of(func(s sharedRow) float64 { return s.RoundTrips }),
		NodeCPU:    of(func(s sharedRow) float64 { return s.NodeCPU }),
		RedisCPU:   of(func(s sharedRow) float64 { return s.RedisCPU }),
		Demand:     of(func(s sharedRow) float64 { return s.Demand }),
		Admitted:   of(func(s sharedRow) float64 { return s.Admitted }),
		Most:       of(func(s sharedRow) float64 { return s.Most }),
	}
}

// measure starts nodes on an empty server and has them decide as fast as they can.
func (v sharedVariant) measure(redis *redisServer, limit sharedLimit, lasting time.Duration) (sharedRow, error) {
	if err := redis.clear(); err != nil {
		return sharedRow{}, err
	}
	load := sharedLoad{keys: callersInOrder(limit.keys), admitted: make([]atomic.Int64, lasting/admissionTick+2)}
	defer load.close()
	for range sharedNodes {
		n, err := v.node(redis.addr, limit)
		if err != nil {
			return sharedRow{}, err
		}
		if err := load.add(n); err != nil {
			return sharedRow{}, err
		}
	}
	before, err := redis.usage(v.command)
	if err != nil {
		return sharedRow{}, err
	}
	cpu, began := usedCPU(), time.Now()
	if err := load.run(began, lasting); err != nil {
		return sharedRow{}, err
	}
	took := time.Since(began)
	cpu = usedCPU() - cpu
	after, err := redis.usage(v.command)
	if err != nil {
		return sharedRow{}, err
	}
	decisions := float64(load.decisions.Load())
	total, most := load.sums()
	allowed := func(t time.Duration) float64 {
		return float64(limit.keys) * (float64(limit.rate)*t.Seconds() + float64(limit.burst()))
	}
	return sharedRow{
		Limit: limit.String(), Variant: v.name,
		Decisions:  decisions / took.Seconds(),
		RoundTrips: float64(after.calls-before.calls) / decisions,
		NodeCPU:    float64(cpu.Nanoseconds()) / decisions,
		RedisCPU:   float64((after.cpu - before.cpu).Nanoseconds()) / decisions,
		Demand:     decisions / allowed(took),
		Admitted:   float64(total) / allowed(took),
		Most:       float64(most) / allowed(min(time.Second, took)),
	}, nil
}

// admissionTick is the precision of the times of admissions.
const admissionTick = 10 * time.Millisecond

// sharedLoad is a load of decisions: each worker asks for the next one when it has one.
type sharedLoad struct {
	nodes     []sharedNode
	workers   []decider
	keys      []string
	decisions atomic.Int64
	admitted  []atomic.Int64 // by admissionTick
}

// add adds the workers of a node, and connects it.
func (l *sharedLoad) add(n sharedNode) error {
	l.nodes = append(l.nodes, n)
	for range sharedWorkers {
		decide := n.decide()
		if _, err := decide("warm"); err != nil {
			return err
		}
		l.workers = append(l.workers, decide)
	}
	return nil
}

func (l *sharedLoad) close() {
	for _, n := range l.nodes {
		n.close()
	}
}

func (l *sharedLoad) run(began time.Time, lasting time.Duration) error {
	var group sync.WaitGroup
	errs := make([]error, len(l.workers))
	for i, decide := range l.workers {
		group.Go(func() { errs[i] = l.work(i, decide, began, lasting) })
	}
	group.Wait()
	return cmp.Or(errs...)
}

func (l *sharedLoad) work(i int, decide decider, began time.Time, lasting time.Duration) error {
	decided := int64(0)
	defer func() { l.decisions.Add(decided) }()
	for n := i * len(l.keys) / len(l.workers); ; n++ {
		ok, err := decide(l.keys[n%len(l.keys)])
		if err != nil {
			return err
		}
		decided++
		passed := time.Since(began)
		if ok {
			l.admitted[min(int(passed/admissionTick), len(l.admitted)-1)].Add(1)
		}
		if passed >= lasting {
			return nil
		}
	}
}

// sums returns how many were admitted in total, and at most in a second.
func (l *sharedLoad) sums() (total, most int64) {
	inSecond := int(time.Second / admissionTick)
	last := int64(0)
	for i := range l.admitted {
		n := l.admitted[i].Load()
		total, last = total+n, last+n
		if i >= inSecond {
			last -= l.admitted[i-inSecond].Load()
		}
		most = max(most, last)
	}
	return total, most
}

func (r sharedRow) cells() []string {
	admitted, most := "-", "-"
	if r.Demand > 1 {
		admitted, most = fmt.Sprintf("%.3f", r.Admitted), fmt.Sprintf("%.3f", r.Most)
	}
	return []string{
		r.Limit, r.Variant, fmt.Sprintf("%.0f", r.Decisions), fmt.Sprintf("%.4f", r.RoundTrips),
		micros(r.NodeCPU), micros(r.RedisCPU), admitted, most,
	}
}

func (r *report) addShared(b *strings.Builder) {
	if len(r.Shared) == 0 {
		return
	}
	fmt.Fprintf(b, `
## Limits that nodes share through Redis

%d nodes in one process share a limit through one redis-server on the same machine. %d goroutines of each ask for the
next decision as soon as they have one. The burst is a tenth of the limit. "Admitted" is the part of what the limit
allows that was admitted in the whole run, and "most" the part of what it allows in a second that was admitted in any
second. Both have a figure only if the demand was above the limit. Envoy's algorithm is that of envoyproxy/ratelimit,
a counter for each second of the clock, written here on the same Redis client as Hauberk's.

| limit | variant | decisions/s | round trips per decision | CPU of nodes | CPU of Redis | admitted | most |
|---|---|---|---|---|---|---|---|
`, sharedNodes, sharedWorkers)
	for _, row := range r.Shared {
		tableRow(b, row.cells()...)
	}
}
