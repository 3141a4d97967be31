package demo

import (
	"fmt"
	"strings"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
)

// story is the text ahead of the first table.
type story struct {
	addr    string // of the shop
	issuer  string // URL
	token   string // of anna
	metrics string // URL; "" if metrics are not served
	chain   string // the server's chain for one method, explained
}

const purpose = "The shoppers misbehave on purpose: the errors and rejections below are expected.\n"

// explainedMethod is the method whose chain the demo prints. It has interceptors of
// each scope: for every method, under a condition, for the method alone and in shadow.
const explainedMethod = shoppb.Cart_Import_FullMethodName

func (st *stage) story(metrics string) (story, error) {
	explained, err := st.chain.Explain(explainedMethod)
	if err != nil {
		return story{}, err
	}
	token, err := st.issuer.token(anna)
	if err != nil {
		return story{}, err
	}
	return story{addr: st.addr(), issuer: st.issuer.url, token: token, metrics: metrics, chain: explained.String()}, nil
}

// addresses has a line for each address that the demo serves on.
func (s story) addresses() string {
	text := "The shop listens on " + s.addr + ".\n" +
		"It accepts the tokens of " + s.issuer + ", whose key rotates after " + signAfter.String() + ".\n"
	if s.metrics != "" {
		text += "Its metrics are at " + s.metrics + ".\n"
	}
	return text
}

// String is the whole text, for people.
func (s story) String() string {
	var b strings.Builder
	b.WriteString(s.addresses())
	b.WriteString(purpose)
	b.WriteString("\nThe server's chain for one method:\n\n")
	b.WriteString(indent(s.chain))
	b.WriteString("\nCall the shop from another terminal:\n\n")
	b.WriteString(indent(s.grpcurl()))
	b.WriteString("\n")
	return b.String()
}

// grpcurl is a command line that calls the running shop with a valid token. grpcurl
// learns the method's types by server reflection.
func (s story) grpcurl() string {
	return fmt.Sprintf(`grpcurl -plaintext -H 'authorization: Bearer %s' -d '{"cart_id": "anna"}' %s %s`+"\n",
		s.token, s.addr, strings.TrimPrefix(shoppb.Cart_Get_FullMethodName, "/"))
}

// indent indents each line of the text by two columns.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
