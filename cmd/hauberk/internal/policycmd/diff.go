package policycmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk/policy"
)

const diffLong = `Writes what changes for callers from an old policy file to a new one, by method with
--descriptors or --reflect. Without them only entries that run for methods which no pattern
names are compared. The content of files that the policies name is not compared.
"may loosen" marks changes by which calls that were rejected may be admitted. With
--fail-if-loosens such a change is exit code 1.` + files

func diffCommand() *cobra.Command {
	var s services
	var strict bool
	cmd := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Show what a changed policy file changes for callers",
		Long:    diffLong,
		Example: "  hauberk diff policy.yaml policy.new.yaml --descriptors shop.binpb",
		Args:    exactly("OLD", "NEW"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.run(cmd, args[0], func(out printer, old *policy.Policy) error {
			next, err := s.load(args[1])
			if err != nil {
				return out.fail(args[1], err)
			}
			defer next.Close()
			var known []protoreflect.ServiceDescriptor
			if s.set != nil {
				known = s.set.Services()
			}
			return differs(out, args[1], policy.Diff(old, next, known...), strict)
		})
	}
	s.flags(cmd)
	jsonFlag(cmd)
	cmd.Flags().BoolVar(&strict, "fail-if-loosens", false, "exit code 1 if a change may loosen the policy")
	return cmd
}

// diffResult is the result of diff in JSON.
type diffResult struct {
	result

	MayLoosen bool         `json:"may_loosen"`
	Changes   []diffChange `json:"changes"`
}

type diffChange struct {
	Method    string `json:"method,omitempty"`
	Side      string `json:"side"`
	What      string `json:"what"`
	MayLoosen bool   `json:"may_loosen"`
}

func differs(out printer, file string, changes []policy.Change, strict bool) error {
	v := diffResult{result: result{File: file, Valid: true}, Changes: []diffChange{}}
	var b strings.Builder
	for _, c := range changes {
		method := strings.TrimPrefix(c.Method, "/")
		v.Changes = append(v.Changes, diffChange{method, c.Side.String(), c.What, c.MayLoosen})
		v.MayLoosen = v.MayLoosen || c.MayLoosen
		if method == "" {
			method = "all methods"
		}
		note := ""
		if c.MayLoosen {
			note = "  [may loosen]"
		}
		fmt.Fprintf(&b, "%s: %s: %s%s\n", method, c.Side, c.What, note)
	}
	if len(changes) == 0 {
		b.WriteString("nothing changes for callers\n")
	}
	var err error
	if out.json {
		err = out.write(v)
	} else {
		err = out.text(b.String())
	}
	if err == nil && strict && v.MayLoosen {
		return reported{}
	}
	return err
}
