package policycmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/policy"
)

// Commands returns all commands of the package.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		validateCommand(), explainCommand(), coverageCommand(), schemaCommand(), testCommand(), diffCommand(),
		importCommand(), replayCommand(),
	}
}

// reported is the error of a command that has written what is wrong itself. It has no text.
type reported struct{}

func (reported) Error() string { return "" }

// files says for each command what its errors and its flags have in common.
const files = `

Everything that is wrong with a file is on stderr, a line each:

  policy.yaml:12:12: limit is "100"; want a number and a time, such as 100/1m

The exit code is 0 if nothing is wrong, 1 if something is, and 2 if the command line is
wrong. With --json the result is JSON on stdout, errors included:

  {"file":"policy.yaml","valid":false,"problems":[{"file":"policy.yaml","line":12,...}]}`

// printer writes the result of a command.
type printer struct {
	out, errOut io.Writer
	json        bool
}

func printerOf(cmd *cobra.Command) printer {
	on, _ := cmd.Flags().GetBool("json")
	return printer{cmd.OutOrStdout(), cmd.ErrOrStderr(), on}
}

// jsonFlag adds the flag --json.
func jsonFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "write the result as JSON on stdout")
}

// result is what all results in JSON have.
type result struct {
	File     string           `json:"file"`
	Valid    bool             `json:"valid"`
	Problems []policy.Problem `json:"problems,omitempty"`
}

// write writes a value as JSON.
func (p printer) write(value any) error {
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// fail writes what is wrong with a file.
func (p printer) fail(file string, err error) error {
	if p.json {
		if err := p.write(result{File: file, Problems: policy.Problems(err)}); err != nil {
			return err
		}
		return reported{}
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if _, err := fmt.Fprintln(p.errOut, line); err != nil {
			return err
		}
	}
	return reported{}
}

// text writes a result as text.
func (p printer) text(text string) error {
	_, err := io.WriteString(p.out, text)
	return err
}

// exactly returns an error of the command line if there are not as many arguments as names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		want := cmp.Or(strings.Join(names, " "), "none")
		return cmd.FlagErrorFunc()(cmd, fmt.Errorf("%s has %d arguments; want %s", cmd.Name(), len(args), want))
	}
}

// load reads a policy file for a check. The caller closes the policy.
func (s *services) load(path string) (*policy.Policy, error) {
	opts := s.options()
	if s.set == nil {
		return policy.Load(path, opts...)
	}
	// The upstream of a sidecar has the services of the sidecar.
	if p, err := policy.Load(path, policy.CheckOnly()); err == nil {
		if p.Gateway() != nil {
			opts = append(opts, policy.WithClientServices(s.set.Services()...))
		}
		_ = p.Close()
	}
	return policy.Load(path, opts...)
}

// options returns the options to check a policy against the services.
func (s *services) options() []policy.Option {
	if s.set == nil {
		return []policy.Option{policy.CheckOnly()}
	}
	return []policy.Option{
		policy.CheckOnly(), policy.WithServices(s.set.Services()...), policy.WithTypes(s.set.Types()),
	}
}

// run is what a command does with one policy.
func (s *services) run(
	cmd *cobra.Command, path string, f func(out printer, p *policy.Policy) error,
) error {
	out := printerOf(cmd)
	if err := s.read(cmd.Context()); err != nil {
		if usage, ok := errors.AsType[flagsError](err); ok {
			return cmd.FlagErrorFunc()(cmd, usage)
		}
		return out.fail(path, err)
	}
	p, err := s.load(path)
	if err != nil {
		return out.fail(path, err)
	}
	defer p.Close()
	return f(out, p)
}
