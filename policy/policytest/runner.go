package policytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/internal/offline"
)

// callTime bounds a call.
const callTime = time.Minute

// runner runs one case. One goroutine runs it; the chain for the client may have others.
type runner struct {
	Result

	methods Methods
	signer  *signer
	call    *hauberk.Call // the last one

	mu       sync.Mutex // guards what follows
	now      time.Time
	codes    []codes.Code // of the calls that reach the service
	reached  int          // calls that have reached it since codes was set
	attempts int          // calls that have reached it since the last call began
}

// around returns what runs in place of the entries of a policy: the first one notes the call, and authn uses the
// identity of the case.
func (r *runner) around() func(e *policy.Entry) policy.Around {
	first := true
	return func(e *policy.Entry) policy.Around {
		notes, identifies := first, e.Use == "authn"
		first = false
		if !notes && !identifies {
			return nil
		}
		return func(ctx context.Context, call *hauberk.Call, next hauberk.Next, entry hauberk.Interceptor) error {
			if notes {
				r.call = call
			}
			if id := identityOf(ctx); identifies && id != nil {
				hauberk.IdentityKey.Set(call, id)
				return next(ctx, call)
			}
			return entry.Intercept(ctx, call, next)
		}
	}
}

func (r *runner) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// run makes the calls.
func (r *runner) run(p *policy.Policy) error {
	calls := r.AllCalls()
	client := r.Want.Attempts >= 0 || slices.ContainsFunc(calls, func(c *Call) bool { return c.Upstream != nil })
	for _, c := range calls {
		t, err := r.typesOf(c)
		if err != nil {
			return err
		}
		if client {
			t.conn = p.Client().ClientConn(upstream{r})
		}
		if err := r.make(p, c, t); err != nil {
			return err
		}
	}
	r.GotAttempts = r.attempts
	return nil
}

// types are the types of a method.
type types struct {
	kind              hauberk.Kind
	request, response proto.Message
	conn              grpc.ClientConnInterface // to the service, or nil
}

// typesOf returns the types of a call's method, with its request.
func (r *runner) typesOf(c *Call) (*types, error) {
	t := &types{kind: c.Kind, request: new(emptypb.Empty), response: new(emptypb.Empty)}
	var method protoreflect.MethodDescriptor
	if r.methods != nil {
		if method = r.methods.Method(c.Method); method == nil {
			return nil, fmt.Errorf("%s: the services have no such method", c.Method)
		}
		t.kind = hauberk.KindOf(method.IsStreamingClient(), method.IsStreamingServer())
		if c.HasKind && c.Kind != t.kind {
			return nil, fmt.Errorf("%s: the kind is %s; want %s, as the descriptors say", c.Method, c.Kind, t.kind)
		}
		t.request, t.response = dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	}
	if c.Message == nil {
		return t, nil
	}
	if method == nil {
		return nil, errors.New("the case has a message, and its type is not known; want descriptors")
	}
	if err := protojson.Unmarshal(c.Message, t.request); err != nil {
		return nil, fmt.Errorf("the message is not a %s: %w", method.Input().FullName(), err)
	}
	return t, nil
}

// begin sets the time and the codes of a call.
func (r *runner) begin(c *Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.Time.IsZero() {
		r.now = c.Time
	}
	r.codes, r.reached = c.Upstream, 0
}

// make makes a call as often as it says.
func (r *runner) make(p *policy.Policy, c *Call, t *types) error {
	r.begin(c)
	ctx, err := r.context(p, c)
	if err != nil {
		return err
	}
	for range c.Calls {
		r.call, r.attempts = nil, 0
		ctx, cancel := context.WithTimeout(ctx, callTime)
		err := offline.Serve(ctx, p.Server(), offline.Call{
			Method: c.Method, Kind: t.kind, Request: t.request, Response: t.response,
			Handle: func(ctx context.Context) error { return t.handle(ctx, c.Method) },
		})
		cancel()
		st := hauberk.StatusOf(err)
		r.GotCode, r.GotReason, r.GotMessage = st.Code(), hauberk.Reason(st.Err()), st.Message()
		r.Decisions = nil
		if r.call != nil {
			r.Decisions = r.call.Decisions().All()
		}
	}
	return nil
}

// handle makes a call to the service, if there is one.
func (t *types) handle(ctx context.Context, method string) error {
	if t.conn == nil {
		return nil
	}
	return exchange(ctx, t.conn, method, t.kind, t.request, t.response.ProtoReflect().New().Interface())
}

// context returns the context of a call, with its credential.
func (r *runner) context(p *policy.Policy, c *Call) (context.Context, error) {
	from := &peer.Peer{Addr: net.TCPAddrFromAddrPort(c.Peer)}
	md := c.Metadata.Copy()
	ctx := context.Background()
	if id := c.Identity; id != nil {
		switch id.Method {
		case MethodJWT:
			token, err := r.signer.token(id, r.clock())
			if err != nil {
				return nil, fmt.Errorf("no token is made: %w", err)
			}
			if md.Get("authorization") != nil {
				return nil, errTwoCredentials
			}
			md.Set("authorization", "Bearer "+token)
		case MethodMTLS:
			from.AuthInfo = certificate(id)
		case MethodAPIKey:
			if acceptsKeys(p) {
				ctx = context.WithValue(ctx, identityKey{}, id)
			}
		default:
			verified := *id
			verified.Method = "test"
			ctx = context.WithValue(ctx, identityKey{}, &verified)
		}
	}
	return metadata.NewIncomingContext(peer.NewContext(ctx, from), md), nil
}
