package policycmd

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/policy"
)

const coverageLong = `Writes a table of the methods of services and the entries of server that run for them: x
is in force, s is in shadow. A method is authenticated, public, or open. The exit code is
1 if a method is open, or if a pattern matches no method. "no rule" marks methods that no
rule of authz admits.

The methods are those of --descriptors or --reflect; one of the two is required.` + files

func coverageCommand() *cobra.Command {
	var s services
	cmd := &cobra.Command{
		Use:   "coverage FILE --descriptors FILE | --reflect ADDR",
		Short: "Show which methods a policy covers, and fail if one is open",
		Long:  coverageLong,
		Example: `  hauberk coverage policy.yaml --descriptors shop.binpb
  hauberk coverage policy.yaml --reflect 127.0.0.1:50051`,
		Args: exactly("FILE"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if s.descriptors == "" && s.reflect == "" {
			return cmd.FlagErrorFunc()(cmd, errors.New("the services are not known; want --descriptors or --reflect"))
		}
		return s.run(cmd, args[0], func(out printer, p *policy.Policy) error {
			return covered(out, args[0], p.Coverage(s.set.Services()...))
		})
	}
	s.flags(cmd)
	jsonFlag(cmd)
	return cmd
}

// covering is the result of coverage in JSON.
type covering struct {
	result

	Complete bool           `json:"complete"`
	Methods  []coverageLine `json:"methods"`
}

type coverageLine struct {
	Method  string          `json:"method"`
	Access  string          `json:"access"`
	NoRule  bool            `json:"no_rule,omitempty"`
	Entries []coverageEntry `json:"entries"`
}

type coverageEntry struct {
	Use  string `json:"use"`
	ID   string `json:"id,omitempty"`
	Line int    `json:"line"`
	Mode string `json:"mode"`
}

// covered writes a matrix, and fails if it is not complete.
func covered(out printer, file string, c *policy.Coverage) error {
	wrong := c.Err()
	if out.json {
		problems := policy.Problems(wrong)
		v := covering{result: result{File: file, Valid: true, Problems: problems}, Complete: wrong == nil}
		for _, row := range c.Rows {
			v.Methods = append(v.Methods, lineOf(c, row))
		}
		if err := out.write(v); err != nil || wrong == nil {
			return err
		}
		return reported{}
	}
	if err := out.text(matrix(c)); err != nil || wrong == nil {
		return err
	}
	return out.fail(file, wrong)
}

func lineOf(c *policy.Coverage, row policy.CoverageRow) coverageLine {
	line := coverageLine{
		Method: strings.TrimPrefix(row.Method, "/"), Access: row.Access.String(), NoRule: row.NoRule,
		Entries: []coverageEntry{},
	}
	for i := range c.Entries {
		if e := &c.Entries[i]; row.Runs[i] {
			line.Entries = append(line.Entries, coverageEntry{e.Use, e.ID, e.Line, e.Mode.String()})
		}
	}
	return line
}

// matrix returns the table as text.
func matrix(c *policy.Coverage) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	head := append(make([]string, 0, 2+len(c.Entries)), "method", "access")
	for i := range c.Entries {
		e := &c.Entries[i]
		name := e.ID
		if name == "" {
			name = e.Use
		}
		head = append(head, fmt.Sprintf("%s:%d", name, e.Line))
	}
	write := func(cells []string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	write(head)
	for _, row := range c.Rows {
		access := row.Access.String()
		if row.Access == policy.Unprotected {
			access = "OPEN"
		}
		if row.NoRule {
			access += ", no rule"
		}
		cells := append(make([]string, 0, 2+len(row.Runs)), strings.TrimPrefix(row.Method, "/"), access)
		for i, runs := range row.Runs {
			cells = append(cells, mark(c.Entries[i], runs))
		}
		write(cells)
	}
	_ = w.Flush() // a Builder does not fail
	return b.String()
}

func mark(e policy.Entry, runs bool) string {
	switch {
	case !runs:
		return "-"
	case e.Mode == policy.Shadow:
		return "s"
	default:
		return "x"
	}
}
