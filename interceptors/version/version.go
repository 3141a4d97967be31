package version

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/semver"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Key is the key of the client and its version in a call's state: "shop-cli/1.8.2". It is not set if the
// version is not known.
var Key = hauberk.NewKey[string]("client")

// The errors that errors.Is finds in rejections, in this process.
var (
	ErrUnsupported = errors.New("the version of the client is not supported")
	ErrUnknown     = errors.New("the version of the client is not known")
)

// The reasons of rejections ([hauberk.Reason]), on both sides.
const (
	// ReasonUnsupported: the version of the client is not supported. The metadata of the
	// google.rpc.ErrorInfo have client, version, supported and upgrade.
	ReasonUnsupported = "CLIENT_VERSION_UNSUPPORTED"
	// ReasonUnknown: the version of the client is not known, and has to be.
	ReasonUnknown = "CLIENT_VERSION_UNKNOWN"
)

// Interceptor gates calls by the version of their client. Make it with [New]. It may be used by any number
// of chains at once.
type Interceptor struct {
	config Config
	rules  []rule
	client func(ctx context.Context, call *hauberk.Call) (name, version string)
	counts *counts
	err    error
}

// New returns an interceptor for servers. hauberk.New reports what is wrong with its configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{config: config.withDefaults()}
	x.client = x.fromMetadata
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	rules, err := x.config.rules()
	x.rules, x.err = rules, errors.Join(err, x.err, nils)
	x.counts = newCounts(x.config)
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{
		Name: "version", Phase: hauberk.PhaseVersion, Sides: hauberk.OnlyServers, Decides: true, Err: x.err,
		Writes: []hauberk.StateKey{Key}, Unmatched: x.unmatched,
		Abstains: func(m *hauberk.Method) bool { return m.Public() || isForProbes(m.Service()) },
	}
	if x.counts == nil {
		d.Err = errors.New("a zero version.Interceptor; make it with version.New")
	}
	return d
}

// Intercept rejects the call if the version of its client is not supported.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	c := parseClient(x.client(ctx, call))
	if c.known {
		Key.Set(call, c.name+"/"+c.text)
	}
	unknown := !call.Method().Known() && !x.config.GateUnknown
	if call.Public() || unknown || isForProbes(call.Method().Service()) {
		call.Abstain()
		return next(ctx, call)
	}
	rejection := x.judge(call, c)
	x.counts.of(c).add(rejection != nil)
	if rejection != nil {
		return rejection
	}
	return next(ctx, call)
}

// isForProbes reports whether a service is that of health or reflection, whose clients are load balancers, kubelets and
// tools with their own versions.
func isForProbes(service string) bool {
	return service+"/*" == hauberk.Health || strings.HasPrefix(service, reflection)
}

// reflection is how the names of the services of hauberk.Reflection begin.
var reflection = strings.TrimSuffix(hauberk.Reflection, "*") //nolint:gochecknoglobals // never written

// judge returns the rejection of a call, or nil.
func (x *Interceptor) judge(call *hauberk.Call, c client) error {
	i := x.ruleFor(call.Method(), c.name)
	if i < 0 || !c.known && !x.config.RejectUnknown {
		call.Abstain()
		return nil
	}
	r := &x.rules[i]
	switch {
	case !c.known:
		return x.reject(call, i, &hauberk.Rejection{
			Code: codes.FailedPrecondition, Reason: ReasonUnknown, Cause: ErrUnknown,
			Message: fmt.Sprintf("The client's version is not known; want name/version in %s", x.config.Metadata),
		})
	case r.supported.Has(c.version):
		return nil
	default:
		return x.reject(call, i, r.rejection(c))
	}
}

// ruleFor returns the index of the first rule that names a method and a client, or -1.
func (x *Interceptor) ruleFor(m *hauberk.Method, client string) int {
	for i := range x.rules {
		r := &x.rules[i]
		if (r.Client == "" || r.Client == client) && (len(r.methods) == 0 || r.methods.Matches(m.Service(), m.Name())) {
			return i
		}
	}
	return -1
}

func (x *Interceptor) reject(call *hauberk.Call, rule int, r *hauberk.Rejection) error {
	call.Decide(hauberk.Decision{Rule: fmt.Sprintf("Rules[%d]", rule), Verdict: hauberk.Rejected, Reason: r.Reason})
	return r
}

// rejection is that of a client with another version.
func (r *rule) rejection(c client) *hauberk.Rejection {
	want := r.Upgrade
	if want == "" {
		want = "a version " + r.Versions
	}
	return &hauberk.Rejection{
		Code: codes.FailedPrecondition, Reason: ReasonUnsupported, Cause: ErrUnsupported,
		Message: fmt.Sprintf("Version %s of %s is not supported; upgrade to %s", c.text, c.name, want),
		Metadata: map[string]string{
			"client": c.name, "version": c.text, "supported": r.Versions, "upgrade": want,
		},
	}
}

// client is the client of a call.
type client struct {
	name, text string // as it sent them
	version    semver.Version
	known      bool // the version
}

// parseClient returns a client, which is not known unless both texts are well-formed. It has its name if that is.
func parseClient(name, text string) client {
	if !isName(name) {
		return client{}
	}
	version, ok := semver.Parse(text)
	if !ok {
		return client{name: name}
	}
	return client{name, text, version, true}
}

const maxName = 64

// isName reports whether a text is a token of RFC 9110 with a suitable length.
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return text != "" && len(text) <= maxName
}

// fromMetadata returns the client that the metadata of a call name.
func (x *Interceptor) fromMetadata(ctx context.Context, call *hauberk.Call) (name, version string) {
	values := call.Metadata(ctx, x.config.Metadata)
	if len(values) != 1 {
		return "", ""
	}
	product, _, _ := strings.Cut(values[0], " ")
	name, version, _ = strings.Cut(product, "/")
	return name, version
}
