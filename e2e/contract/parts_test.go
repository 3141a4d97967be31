package contract_test

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
)

// part is the implementation of one interceptor of a scenario.
type part struct {
	id           string // its name in snapshots
	interceptors []hauberk.Interceptor
	public       []string // methods that need no authentication
	snapshot     func() any
}

// stateless returns a part of interceptors without a snapshot.
func stateless(interceptors ...hauberk.Interceptor) part { return part{interceptors: interceptors} }

// head contains the keys that every interceptor of a scenario has.
type head struct {
	Type string `json:"type"`
	ID   string `json:"id"` // its name in snapshots; by default the type
}

// maker creates a part from its configuration in a scenario.
type maker func(w *world, raw json.RawMessage) (part, error)

// configured returns a maker that reads a configuration, which contains head, and rejects unknown
// keys.
func configured[C any](build func(w *world, config C) (part, error)) maker {
	return func(w *world, raw json.RawMessage) (part, error) {
		var config C
		if err := decode(raw, &config); err != nil {
			return part{}, err
		}
		return build(w, config)
	}
}

// makers returns the types of interceptors of a side.
func makers(side hauberk.Side) map[string]maker {
	if side == hauberk.ClientSide {
		return clientMakers()
	}
	return serverMakers()
}

// serverMakers are the interceptors of servers: first those of the library, then those of these
// tests.
func serverMakers() map[string]maker {
	return map[string]maker{
		"request_id": configured(newRequestID),
		"auth":       configured(newServerAuth),
		"rate_limit": configured(newRateLimit),
		"transform":  configured(newServerTransform),
		"headers":    configured(newHeaders),
		"map_status": configured(newServerMapStatus),
		"logging":    configured(newLogging),
		"metrics":    configured(newMetrics),

		"tag":       configured(newTag),
		"if":        configured(newIf),
		"set_state": configured(newSetState),
		"reject":    configured(newReject),
		"none":      configured(newNone),
		"throw":     configured(newServerThrow),
		"reply":     configured(newReply),
	}
}

// clientMakers are the interceptors of clients.
func clientMakers() map[string]maker {
	return map[string]maker{
		"logging":         configured(newLogging),
		"auth":            configured(newClientAuth),
		"retry":           configured(newRetry),
		"circuit_breaker": configured(newBreaker),
		"metadata":        configured(newMetadata),
		"timeout":         configured(newTimeout),
		"method":          configured(newMethod),
		"compression":     configured(newCompression),
		"transform":       configured(newClientTransform),
		"map_status":      configured(newClientMapStatus),

		"tag":           configured(newTag),
		"only":          configured(newOnly),
		"short_circuit": configured(newShortCircuit),
		"fallback":      configured(newFallback),
		"throw":         configured(newClientThrow),
		"twice":         configured(newTwice),
		"cancel":        configured(newCancel),
	}
}

// part creates an interceptor of a scenario. An unknown type is an error.
func (w *world) part(side hauberk.Side, raw json.RawMessage) (part, error) {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return part{}, err
	}
	build, ok := makers(side)[h.Type]
	if !ok {
		return part{}, fmt.Errorf("the type %q is not known", h.Type)
	}
	p, err := build(w, raw)
	if err != nil {
		return part{}, fmt.Errorf("%s: %w", h.Type, err)
	}
	if p.id = h.ID; p.id == "" {
		p.id = h.Type
	}
	if p.snapshot == nil {
		p.snapshot = func() any { return map[string]any{} }
	}
	return p, nil
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
