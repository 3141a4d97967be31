package policycmd

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policyreplay"
)

const replayLong = `Decides the calls of a log by a policy, and writes each call with another verdict than the
recorded one:

  calls.log:12: shop.v1.Cart/Get of alice: admitted, now rejected PERMISSION_DENIED ACCESS_DENIED
    authz: no rule allows the call

LOG has the records that logging writes when the calls of a server end, a line of JSON each,
such as the log of hauberk run; "-" is stdin. Other lines are left out. Limits run on a clock
that shows the recorded times.

What a policy reads has to be in the log. Otherwise the call cannot be decided, which is
written with its reason. For an exact replay log all calls, and what rules and keys use:

  - use: logging
    identity: {on: true, claims: [plan]}
    metadata: {request: true}

Messages are in no log. authn is not asked again: callers are who they were. Limits of
concurrency and those in other services admit all calls, and are listed.

The exit code is 1 if a verdict differs or a call cannot be decided.` + files

func replayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay FILE LOG",
		Short: "Show on which calls of a log a policy decides otherwise",
		Long:  replayLong,
		Example: `  hauberk replay policy.new.yaml calls.log
  kubectl logs deploy/shop -c hauberk | hauberk replay policy.new.yaml -`,
		Args: exactly("FILE", "LOG"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s := &services{}
		return s.run(cmd, args[0], func(out printer, _ *policy.Policy) error {
			log, err := readLog(cmd.InOrStdin(), args[1])
			if err != nil {
				return out.fail(args[1], err)
			}
			report, err := policyreplay.Run(log, func(opts ...policy.Option) (*policy.Policy, error) {
				return policy.Load(args[0], append(opts, policy.WithLogger(slog.New(slog.DiscardHandler)))...)
			})
			if err != nil {
				return out.fail(args[0], err)
			}
			return replayed(out, args, log, report)
		})
	}
	jsonFlag(cmd)
	return cmd
}

// readLog reads a log with at least one call.
func readLog(stdin io.Reader, path string) (*policyreplay.Log, error) {
	from := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s:1:1: the log cannot be read: %w", path, err)
		}
		defer file.Close()
		from = file
	}
	log, err := policyreplay.Read(from)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s:1:1: the log cannot be read: %w", path, err)
	case len(log.Records) == 0:
		return nil, fmt.Errorf("%s:1:1: the log has no record of a call of a server in %d lines; want those of "+
			"logging in JSON, with the names of OpenTelemetry", path, log.Skipped)
	}
	return log, nil
}

// replayResult is the result of replay in JSON.
type replayResult struct {
	result

	Calls       int          `json:"calls"`
	Same        int          `json:"same"`
	Differ      int          `json:"differ"`
	Undecided   int          `json:"undecided"`
	Skipped     int          `json:"skipped_lines"`
	Differences []difference `json:"differences"`
	NotReplayed []string     `json:"not_replayed,omitempty"`
}

type difference struct {
	Line      int          `json:"line"`
	Method    string       `json:"method"`
	Caller    string       `json:"caller"`
	Recorded  callVerdict  `json:"recorded"`
	Now       *callVerdict `json:"now,omitempty"` // unless the call cannot be decided
	Undecided string       `json:"undecided,omitempty"`
}

type callVerdict struct {
	Verdict     string `json:"verdict"` // "admitted" or "rejected"
	Code        string `json:"code,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Interceptor string `json:"interceptor,omitempty"`
	Rule        string `json:"rule,omitempty"`
}

func verdictOf(v policyreplay.Verdict) callVerdict {
	if v.Admitted {
		return callVerdict{Verdict: "admitted"}
	}
	return callVerdict{"rejected", codename.Of(v.Code), v.Reason, v.By, v.Rule}
}

// replayed writes a report, and fails if something differs or is not decided.
func replayed(out printer, args []string, log *policyreplay.Log, report *policyreplay.Report) error {
	v := replayResult{
		result: result{File: args[0], Valid: true}, Calls: report.Calls,
		Same: report.Calls - report.Differ - report.Undecided, Differ: report.Differ, Undecided: report.Undecided,
		Skipped: log.Skipped, Differences: []difference{}, NotReplayed: report.NotReplayed,
	}
	var b strings.Builder
	for i := range report.Differences {
		d := &report.Differences[i]
		made := difference{
			Line: d.Line, Method: strings.TrimPrefix(d.Method, "/"), Caller: d.Caller(), Recorded: verdictOf(d.Before),
			Undecided: d.Undecided,
		}
		fmt.Fprintf(&b, "%s:%d: %s of %s: %s, ", args[1], d.Line, made.Method, made.Caller, d.Before)
		if d.Undecided != "" {
			fmt.Fprintf(&b, "and cannot be decided: %s\n", d.Undecided)
		} else {
			now := verdictOf(d.After)
			made.Now = &now
			fmt.Fprintf(&b, "now %s\n", d.After)
			for _, v := range []callVerdict{made.Recorded, now} {
				if v.Interceptor != "" {
					fmt.Fprintf(&b, "  %s: %s\n", v.Interceptor, verdict(v.Reason, v.Rule))
				}
			}
		}
		v.Differences = append(v.Differences, made)
	}
	for _, text := range report.NotReplayed {
		fmt.Fprintf(&b, "%s: %s is not replayed: it admits all calls\n", args[0], text)
	}
	fmt.Fprintf(&b, "%d calls: %d as before, %d differ, %d cannot be decided\n",
		v.Calls, v.Same, v.Differ, v.Undecided)
	var err error
	if out.json {
		err = out.write(v)
	} else {
		err = out.text(b.String())
	}
	if err == nil && v.Differ+v.Undecided > 0 {
		return reported{}
	}
	return err
}
