package main

import "fmt"

// processContest is a set of processes under the same load, measured in turn.
type processContest struct {
	name    string
	roles   []processRole
	proxies bool // the roles forward to a backend process
}

// processRole is one process of a contest.
type processRole struct {
	name, role string
	load       load
	base       string  // the role that it is compared with; "" for the first
	ratio      float64 // the budget, as a multiple of the base; 0 for none
}

// Contests and roles that the summary of the report names.
const (
	serverContestName = "server process, CPU per unary call"
	proxyContestName  = "proxy process, CPU per unary call"

	bareName              = "bare grpc-go, with Hauberk's server options"
	emptyName             = "Hauberk, empty chain"
	rejectingName         = "bare grpc-go: calls rejected by an interceptor"
	tapName               = "bare grpc-go: calls rejected by its tap"
	noTokenName           = wholeName + ": calls rejected for lack of a token"
	middlewareNoTokenName = middlewareName + ": calls rejected for lack of a token"
	forgedName            = wholeName + ": calls rejected for a forged token"
	plainProxyName        = "plain grpc-go proxy"
	noPolicyName          = "Hauberk sidecar, no policy"
)

// serverContest compares servers that all have the options of [hauberk.Chain.ServerOptions],
// except one. A call that a bare interceptor or the tap of grpc-go rejects has no log record
// and no details: less is not possible.
func serverContest() processContest {
	return processContest{name: serverContestName, roles: []processRole{
		{name: bareName, role: "server-bare", load: accepted},
		{name: emptyName, role: "server-hauberk-empty", load: accepted},
		{name: wholeName, role: "server-hauberk", load: accepted, ratio: 1.15},
		{name: middlewareName, role: "server-middleware", load: accepted},
		{name: "bare grpc-go, with its default options", role: "server-bare-defaults", load: accepted},
		{name: rejectingName, role: "server-bare-rejecting", load: withoutToken},
		{name: tapName, role: "server-bare-tap", load: withoutToken, base: rejectingName},
		{name: middlewareNoTokenName, role: "server-middleware", load: withoutToken, base: rejectingName},
		{name: noTokenName, role: "server-hauberk", load: withoutToken, base: rejectingName, ratio: 1.5},
		{name: forgedName, role: "server-hauberk", load: forgedToken, base: wholeName},
	}}
}

func proxyContest() processContest {
	return processContest{name: proxyContestName, proxies: true, roles: []processRole{
		{name: plainProxyName, role: "proxy-plain", load: accepted},
		{name: noPolicyName, role: "proxy-hauberk", load: accepted, ratio: 1.15},
		{name: sidecarName, role: "proxy-hauberk-full", load: accepted},
	}}
}

// measureProcesses loads the processes of a contest in turn.
func measureProcesses(size sizes, c processContest) ([]row, error) {
	upstream := ""
	if c.proxies {
		backend, err := startProcess("server-bare", "")
		if err != nil {
			return nil, err
		}
		defer backend.stop()
		upstream = backend.addr
	}
	processes, err := c.start(upstream, size.Calls/2)
	defer stopAll(processes)
	if err != nil {
		return nil, err
	}
	samples := make([][]float64, len(processes))
	for range size.Pairs {
		for i, p := range processes {
			ns, err := p.cpuOf(size.Calls, func(calls int) error { return c.roles[i].load.run(p, calls) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.roles[i].name, err)
			}
			samples[i] = append(samples[i], ns)
		}
	}
	return c.rows(samples), nil
}

// start starts and warms up the processes of a contest. The caller must stop those that it
// returns, also if there is an error.
func (c processContest) start(upstream string, calls int) (processes []*process, err error) {
	for _, r := range c.roles {
		p, err := startProcess(r.role, upstream)
		if p != nil {
			processes = append(processes, p)
		}
		if err == nil {
			err = r.load.run(p, calls)
		}
		if err != nil {
			return processes, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return processes, nil
}

// base returns the index of the role that another is compared with.
func (c processContest) base(r processRole) int {
	for i := range c.roles {
		if c.roles[i].name == r.base {
			return i
		}
	}
	return 0
}

func (c processContest) rows(samples [][]float64) []row {
	rows := make([]row, 0, len(c.roles))
	for i, r := range c.roles {
		base := samples[c.base(r)]
		ratios := make([]float64, 0, len(samples[i]))
		for pair, ns := range samples[i] {
			ratios = append(ratios, ns/base[pair])
		}
		out := row{
			Contest: c.name, Variant: r.name, Base: r.base, Unit: "ns CPU/call",
			Median: median(samples[i]), Ratio: median(ratios), Rounds: len(ratios),
		}
		if r.ratio > 0 {
			out.judgeRatio(r.ratio)
		}
		fmt.Println("  ", out.String())
		rows = append(rows, out)
	}
	return rows
}
