package policycmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/sidecar"
	"github.com/hauberk-rpc/hauberk/policy"
)

const validateLong = `Checks a policy file: the keys and values, the files that it names, and the order of the
chains. With --descriptors or --reflect the patterns of methods are checked against the
services, too. Unusual orders are on stderr as warnings, and with gateway also what does not
work in a sidecar; they do not change the exit code.
References such as ${env:NAME} need their values.` + files

func validateCommand() *cobra.Command {
	var s services
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a policy file",
		Long:  validateLong,
		Example: `  hauberk validate policy.yaml
  hauberk validate policy.yaml --descriptors shop.binpb --json`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd, args[0], func(out printer, p *policy.Policy) error { return validated(out, args[0], p) })
		},
	}
	s.flags(cmd)
	jsonFlag(cmd)
	return cmd
}

// validity is the result of validate in JSON.
type validity struct {
	result

	Server   int      `json:"server"`
	Client   int      `json:"client"`
	Gateway  bool     `json:"gateway"`
	Files    []string `json:"files,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// validated writes that a file is valid.
func validated(out printer, file string, p *policy.Policy) error {
	v := validity{result: result{File: file, Valid: true}, Gateway: p.Gateway() != nil, Files: p.Files()}
	entries := p.Entries()
	for i := range entries {
		if entries[i].Side == hauberk.ServerSide {
			v.Server++
		} else {
			v.Client++
		}
	}
	v.Warnings = append(warnings("server", p.Server().Lint(hauberk.ServerSide)),
		warnings("client", p.Client().Lint(hauberk.ClientSide))...)
	if v.Gateway {
		v.Warnings = append(v.Warnings, sidecar.Notes(p)...)
	}
	if out.json {
		return out.write(v)
	}
	for _, w := range v.Warnings {
		if _, err := fmt.Fprintf(out.errOut, "%s: warning: %s\n", file, w); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("%s is valid: %d entries of server, %d of client", file, v.Server, v.Client)
	if v.Gateway {
		text += ", and the settings of the sidecar"
	}
	return out.text(text + "\n")
}

// warnings returns the unusual things about a chain.
func warnings(side string, findings []hauberk.Finding) (all []string) {
	for _, f := range findings {
		names := strings.Trim(f.Outer+", "+f.Inner, ", ")
		all = append(all, fmt.Sprintf("%s: %s: %s", side, names, f.Message))
	}
	return all
}
