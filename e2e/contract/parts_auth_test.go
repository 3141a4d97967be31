package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// verdict is the result of a validator or a token source: a text or an error.
type verdict struct {
	text string
	err  error
}

// UnmarshalJSON reads "text" or {"error_code": …, "error_details": …}.
func (t *verdict) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &t.text) == nil {
		return nil
	}
	var failure struct {
		Code    codeNamed `json:"error_code"`
		Details string    `json:"error_details"`
	}
	if err := decode(raw, &failure); err != nil {
		return err
	}
	t.err = status.Error(failure.Code.code(), failure.Details)
	return nil
}

type serverAuthConfig struct {
	head

	Tokens map[string]verdict `json:"tokens"`
	Exempt []string           `json:"exempt"`
}

// newServerAuth creates authn for a server.
func newServerAuth(_ *world, c serverAuthConfig) (part, error) {
	validate := func(_ context.Context, token string) (*authn.Identity, error) {
		said, known := c.Tokens[token]
		switch {
		case !known:
			return nil, authn.ErrInvalidToken
		case said.err != nil:
			return nil, said.err
		default:
			return &authn.Identity{Subject: said.text}, nil
		}
	}
	p := stateless(authn.New(authn.Config{}, authn.Bearer(validate)))
	p.public = c.Exempt
	return p, nil
}

type clientAuthConfig struct {
	head

	Tokens []verdict `json:"tokens"`
}

// newClientAuth creates authn for a client. The n-th call of the token source returns the n-th
// token. After the last token it returns that one again.
func newClientAuth(_ *world, c clientAuthConfig) (part, error) {
	if len(c.Tokens) == 0 {
		return part{}, errors.New("the list of tokens is empty")
	}
	var used atomic.Int64
	source := func(context.Context) (string, error) {
		n := used.Add(1)
		said := c.Tokens[min(n, int64(len(c.Tokens)))-1]
		return said.text, said.err
	}
	p := stateless(authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true}))
	p.snapshot = func() any { return map[string]int64{"tokens_used": used.Load()} }
	return p, nil
}
