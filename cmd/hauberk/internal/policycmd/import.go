package policycmd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/internal/yamlfile"
	"github.com/hauberk-rpc/hauberk/policy/policyimport"
)

const importLong = `Writes a policy file to stdout, made of the configuration of another program. KIND is

  service-config    a gRPC service config in JSON: timeouts, retryPolicy, hedgingPolicy
  authz             an authorization policy of grpc-go in JSON (gRFC A43)
  ratelimit         a service config of Envoy's ratelimit in YAML: domain, descriptors

What differs or has no place in a policy file is on stderr, and in the file of authz and
ratelimit as comments. The exit code is 0 even then.`

// imports are the kinds of configurations.
func imports() map[string]func(path string, data []byte) (file []byte, notes []string, err error) {
	return map[string]func(path string, data []byte) (file []byte, notes []string, err error){
		"service-config": func(_ string, data []byte) ([]byte, []string, error) {
			return policyimport.ServiceConfig(data)
		},
		"authz":     func(_ string, data []byte) ([]byte, []string, error) { return policyimport.Authz(data) },
		"ratelimit": policyimport.RateLimit,
	}
}

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import KIND FILE",
		Short: "Make a policy file of another program's configuration",
		Long:  importLong,
		Example: `  hauberk import service-config service-config.json > policy.yaml
  hauberk import authz authz.json > policy.yaml`,
		Args: exactly("KIND", "FILE"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		read := imports()[args[0]]
		if read == nil {
			return cmd.FlagErrorFunc()(cmd, fmt.Errorf("KIND is %q; want one of %s", args[0],
				strings.Join(slices.Sorted(maps.Keys(imports())), ", ")))
		}
		return imported(printerOf(cmd), args[1], read)
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

func imported(
	out printer, path string, read func(path string, data []byte) (file []byte, notes []string, err error),
) error {
	data, err := yamlfile.Read(path)
	if err != nil {
		return out.fail(path, err)
	}
	file, notes, err := read(path, data)
	if err != nil {
		if !strings.HasPrefix(err.Error(), path+":") {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return out.fail(path, err)
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
