package policycmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/policy"
)

const explainLong = `Writes which interceptors run for the calls of a method, in which order, with their
settings and lines, and why others do not run. Outermost first. The values of references
and secrets are not shown.

The settings of gateway are those of the file. "hauberk run" has a flag for each key, and
a flag takes precedence over its key.` + files

func explainCommand() *cobra.Command {
	var s services
	cmd := &cobra.Command{
		Use:     "explain FILE METHOD",
		Short:   "Show what a policy does with the calls of a method",
		Long:    explainLong,
		Example: "  hauberk explain policy.yaml shop.v1.Cart/Get",
		Args:    exactly("FILE", "METHOD"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.run(cmd, args[0], func(out printer, p *policy.Policy) error {
			e, err := p.Explain(args[1])
			if err != nil {
				return cmd.FlagErrorFunc()(cmd, err)
			}
			if s.set != nil && s.set.Method(e.Method) == nil {
				name := strings.TrimPrefix(e.Method, "/")
				return out.fail(args[0], fmt.Errorf("the services have no method %s", name))
			}
			if out.json {
				return out.write(explained(args[0], p, e))
			}
			return out.text(explanation(args[0], p, e))
		})
	}
	s.flags(cmd)
	jsonFlag(cmd)
	return cmd
}

// step is an entry in JSON.
type step struct {
	Use      string    `json:"use"`
	ID       string    `json:"id,omitempty"`
	Line     int       `json:"line"`
	Mode     string    `json:"mode"`
	Runs     bool      `json:"runs"`
	Why      string    `json:"why"`
	Warning  string    `json:"warning,omitempty"`
	Settings []setting `json:"settings,omitempty"`
}

type setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Line  int    `json:"line"`
}

// explainResult is the result of explain in JSON.
type explainResult struct {
	result

	Method  string    `json:"method"`
	Public  bool      `json:"public"`
	Server  []step    `json:"server"`
	Client  []step    `json:"client"`
	Gateway []setting `json:"gateway,omitempty"`
}

func explained(file string, p *policy.Policy, e *policy.Explanation) explainResult {
	return explainResult{
		result: result{File: file, Valid: true}, Method: strings.TrimPrefix(e.Method, "/"), Public: e.Public,
		Server: steps(e.Server), Client: steps(e.Client), Gateway: settings(p.Gateway().Settings()),
	}
}

func steps(of []policy.Step) []step {
	all := make([]step, len(of))
	for i := range of {
		s := &of[i]
		all[i] = step{
			Use: s.Use, ID: s.ID, Line: s.Line, Mode: s.Mode.String(), Runs: s.Runs, Why: s.Why, Warning: s.Warning,
			Settings: settings(s.Settings),
		}
	}
	return all
}

func settings(of []policy.Setting) (all []setting) {
	for _, s := range of {
		all = append(all, setting(s))
	}
	return all
}

// explanation returns the result of explain as text.
func explanation(file string, p *policy.Policy, e *policy.Explanation) string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(e.Method, "/"))
	if e.Public {
		b.WriteString(" (public: no authentication)")
	}
	b.WriteByte('\n')
	writeChain(&b, file, "server", e.Server)
	writeChain(&b, file, "client", e.Client)
	if all := p.Gateway().Settings(); len(all) > 0 {
		b.WriteString("\ngateway (a flag of hauberk run takes precedence over its key)\n")
		for _, s := range all {
			fmt.Fprintf(&b, "  %s  (line %d)\n", s, s.Line)
		}
	}
	return b.String()
}

// writeChain writes the entries that run, in order, and then the others.
func writeChain(b *strings.Builder, file, side string, all []policy.Step) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", side)
	n := 0
	for i := range all {
		s := &all[i]
		if !s.Runs {
			continue
		}
		n++
		fmt.Fprintf(b, "%3d  %s  (%s:%d)  %s\n", n, nameOf(s.Entry), file, s.Line, s.Why)
		if s.Warning != "" {
			fmt.Fprintf(b, "       warning: %s\n", s.Warning)
		}
		for _, key := range s.Settings {
			fmt.Fprintf(b, "       %s\n", key)
		}
	}
	for i := range all {
		if s := &all[i]; !s.Runs {
			fmt.Fprintf(b, "  -  %s  (%s:%d)  does not run: %s\n", nameOf(s.Entry), file, s.Line, s.Why)
		}
	}
}

// nameOf returns the name of an entry: "rate_limit per-user [shadow]".
func nameOf(e policy.Entry) string {
	name := e.Use
	if e.ID != "" {
		name += " " + e.ID
	}
	if e.Mode == policy.Shadow {
		name += " [shadow]"
	}
	return name
}
