package policycmd

import (
	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/policy"
)

const schemaLong = `Writes the JSON Schema of policy files to stdout, draft 2020-12. Editors with the YAML
language server complete keys and mark errors, if the file begins with

  # yaml-language-server: $schema=policy.schema.json`

func schemaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "schema",
		Short:   "Write the JSON Schema of policy files",
		Long:    schemaLong,
		Example: "  hauberk schema > policy.schema.json",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return printerOf(cmd).text(string(policy.Schema())) },
	}
	cmd.Flags().Bool("json", true, "the schema is always JSON")
	return cmd
}
