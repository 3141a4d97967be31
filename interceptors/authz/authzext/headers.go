package authzext

import (
	"encoding/base64"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// action is what an edit does with the values that a key has.
type action uint8

const (
	overwrite         action = iota // replace all
	add                             // keep them
	addIfAbsent                     // keep them, and add only if there is none
	overwriteIfExists               // replace all, and add nothing if there is none
)

// The meaning of a header without append and append_action: the zero value of append_action
// cannot be distinguished from a missing one.
const (
	// overwriteByDefault is for request metadata: what a client sends does not survive.
	overwriteByDefault = overwrite
	// addByDefault is for metadata of responses.
	addByDefault = add
)

// edit is a change of metadata.
type edit struct {
	key, value string
	action     action
}

// editsOf returns the edits of a field of the answer.
func editsOf(field string, headers []*corev3.HeaderValueOption, byDefault action) ([]edit, error) {
	edits := make([]edit, 0, len(headers))
	for i, h := range headers {
		e, err := editOf(h, byDefault)
		if err != nil {
			return nil, invalid("%s[%d]: %v", field, i, err)
		}
		edits = append(edits, e)
	}
	return edits, nil
}

func editOf(h *corev3.HeaderValueOption, byDefault action) (edit, error) {
	e := edit{key: strings.ToLower(h.GetHeader().GetKey()), value: h.GetHeader().GetValue()}
	raw := h.GetHeader().GetRawValue()
	switch {
	case len(raw) > 0 && e.value != "":
		return edit{}, fmt.Errorf("%.64q has both a value and a raw_value", e.key)
	case len(raw) > 0:
		e.value = string(raw)
	}
	switch {
	case !metadatakey.Legal(e.key):
		return edit{}, fmt.Errorf("%.64q is no key of metadata that a service may set", e.key)
	case metadatakey.Reserved(e.key):
		return edit{}, fmt.Errorf("%.64q is reserved", e.key)
	case metadatakey.Binary(e.key):
		decoded, err := decode(e.value)
		if err != nil {
			return edit{}, fmt.Errorf("the value of %.64q is not base64", e.key)
		}
		e.value = decoded
	case !metadatakey.LegalValue(e.key, e.value):
		return edit{}, fmt.Errorf("the value of %.64q is not printable ASCII", e.key)
	}
	var err error
	e.action, err = actionOf(h, byDefault)
	return e, err
}

// actionOf returns what to do with existing values. As in Envoy, the deprecated append takes
// precedence if it is set.
func actionOf(h *corev3.HeaderValueOption, byDefault action) (action, error) {
	//nolint:staticcheck // services still set it
	if deprecated := h.GetAppend(); deprecated != nil {
		if deprecated.GetValue() {
			return add, nil
		}
		return overwrite, nil
	}
	switch a := h.GetAppendAction(); a {
	case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		return byDefault, nil
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		return addIfAbsent, nil
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		return overwrite, nil
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		return overwriteIfExists, nil
	default:
		return 0, fmt.Errorf("the append_action of %.64q is %d, which is unknown", h.GetHeader().GetKey(), a)
	}
}

// decode decodes base64 with or without padding, as gRPC does.
func decode(s string) (string, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return string(b), err
}

// apply changes md, whose keys are in lower case.
func (e edit) apply(md metadata.MD) {
	_, exists := md[e.key]
	switch {
	case e.action == addIfAbsent && exists, e.action == overwriteIfExists && !exists:
	case e.action == add && exists:
		md[e.key] = append(md[e.key], e.value)
	default:
		md[e.key] = []string{e.value}
	}
}

// removedBy returns the keys that a service may remove. As in Envoy, others are ignored.
func removedBy(keys []string) []string {
	var removed []string
	for _, key := range keys {
		if key = strings.ToLower(key); metadatakey.Legal(key) && !metadatakey.Reserved(key) {
			removed = append(removed, key)
		}
	}
	return removed
}
