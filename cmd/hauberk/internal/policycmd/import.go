package policycmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/policyimport"
)

const importLong = `Writes a policy file to stdout, made of the configuration of another program. KIND is

  service-config    a gRPC service config in JSON: timeouts, retryPolicy, hedgingPolicy

What has no place in a policy file is on stderr. The exit code is 0 even then.`

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import KIND FILE",
		Short:   "Make a policy file of another program's configuration",
		Long:    importLong,
		Example: "  hauberk import service-config service-config.json > policy.yaml",
		Args:    exactly("KIND", "FILE"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if args[0] != "service-config" {
			return cmd.FlagErrorFunc()(cmd, fmt.Errorf("KIND is %q; want service-config", args[0]))
		}
		return imported(printerOf(cmd), args[1])
	}
	jsonFlag(cmd)
	return cmd
}

// importResult is the result of import in JSON.
type importResult struct {
	result

	Policy string   `json:"policy"`
	Notes  []string `json:"notes,omitempty"`
}

func imported(out printer, path string) error {
	data, err := yamlfile.Read(path)
	if err != nil {
		return out.fail(path, err)
	}
	file, notes, err := policyimport.ServiceConfig(data)
	if err != nil {
		return out.fail(path, fmt.Errorf("%s: %w", path, err))
	}
	if out.json {
		return out.write(importResult{result{File: path, Valid: true}, string(file), notes})
	}
	for _, note := range notes {
		if _, err := fmt.Fprintf(out.errOut, "%s: %s\n", path, note); err != nil {
			return err
		}
	}
	return out.text(string(file))
}
