package policyimport

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk/internal/codename"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
)

// replayBytes is how much grpc-go keeps of the requests of a call for another attempt, in bytes.
const replayBytes = 256 << 10

// ServiceConfig returns a policy file with the client chain of a gRPC service config in JSON: timeouts, retryPolicy and
// hedgingPolicy. notes are what the file has in addition, a line each: limits of messages, waitForReady,
// retryThrottling, the budget of retries, and keys that are for grpc-go. The entries of a method are those of the most
// specific name, as in grpc-go.
func ServiceConfig(data []byte) (file []byte, notes []string, err error) {
	config, err := serviceconfig.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	var b strings.Builder
	b.WriteString("version: 1\nclient:\n")
	entries, repeats := 0, false
	for i := range config.Methods {
		m := &config.Methods[i]
		scope := "\n    methods: [" + quoted(m.Names) + "]"
		if inner := moreSpecific(config, i); len(inner) > 0 {
			scope += "\n    except: [" + quoted(inner) + "]"
		}
		if m.Timeout > 0 {
			entries++
			fmt.Fprintf(&b, "  - use: deadline%s\n    max: %s\n", scope, m.Timeout)
		}
		if r := m.Retry; r != nil {
			entries++
			fmt.Fprintf(&b, "  - use: retry%s\n    max_attempts: %d\n    initial_backoff: %s\n    max_backoff: %s\n"+
				"    backoff_multiplier: %v\n    retryable_status_codes: [%s]\n    max_replay_bytes: %d\n",
				scope, attempts(r.MaxAttempts), min(r.InitialBackoff, r.MaxBackoff), r.MaxBackoff, r.BackoffMultiplier,
				names(r.RetryableStatusCodes), replayBytes)
		}
		if h := m.Hedging; h != nil {
			entries++
			delay := "no_delay: true"
			if h.HedgingDelay > 0 {
				delay = "delay: " + h.HedgingDelay.String()
			}
			fmt.Fprintf(&b, "  - use: hedge%s\n    max_attempts: %d\n    %s\n    non_fatal_status_codes: [%s]\n",
				scope, attempts(h.MaxAttempts), delay, names(h.NonFatalStatusCodes))
		}
		repeats = repeats || m.Retry != nil || m.Hedging != nil
		notes = append(notes, methodNotes(m)...)
	}
	switch {
	case config.Throttling != nil:
		notes = append(notes, "retryThrottling is not imported: retry and hedge have their default budget")
	case repeats:
		notes = append(notes, "retry and hedge have their default budget: grpc-go has none without retryThrottling; "+
			"no_budget: true turns it off")
	}
	for _, key := range config.Left {
		notes = append(notes, key+" is not imported: it is for grpc-go")
	}
	text := b.String()
	if entries == 0 {
		text = "version: 1\nclient: []\n"
	}
	return []byte(text), notes, check(text)
}

// attempts returns how many attempts grpc-go makes at most of a call whose policy has n.
func attempts(n int) int { return min(n, serviceconfig.DefaultMaxCallAttempts) }

// check reports a file that is not valid, which is a mistake of this package or of a value out of range.
func check(text string) error {
	p, err := policy.Parse("imported.yaml", []byte(text), policy.CheckOnly())
	if err != nil {
		return fmt.Errorf("the imported policy is not valid:\n%w", err)
	}
	return p.Close()
}

func methodNotes(m *serviceconfig.MethodConfig) (notes []string) {
	of := strings.Join(m.Names, ", ")
	if m.WaitForReady != nil {
		notes = append(notes, of+": waitForReady is not imported: it is an option of calls")
	}
	if m.MaxRequestBytes != nil || m.MaxResponseBytes != nil {
		notes = append(notes, of+": maxRequestMessageBytes and maxResponseMessageBytes are not imported: "+
			"a sidecar has gateway.max_message_size")
	}
	return notes
}

// moreSpecific returns the names of other entries that are more specific than a name of an entry.
func moreSpecific(config *serviceconfig.Config, i int) (all []string) {
	for j := range config.Methods {
		if j == i {
			continue
		}
		for _, inner := range config.Methods[j].Names {
			for _, outer := range config.Methods[i].Names {
				prefix, wild := strings.CutSuffix(outer, "*")
				if wild && inner != outer && strings.HasPrefix(inner, prefix) {
					all = append(all, inner)
					break
				}
			}
		}
	}
	return all
}

func quoted(patterns []string) string {
	all := make([]string, len(patterns))
	for i, p := range patterns {
		all[i] = fmt.Sprintf("%q", p)
	}
	return strings.Join(all, ", ")
}

func names(of []codes.Code) string {
	all := make([]string, len(of))
	for i, c := range of {
		all[i] = codename.Of(c)
	}
	return strings.Join(all, ", ")
}
