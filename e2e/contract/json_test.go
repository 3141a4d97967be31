package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// decode reads one JSON value into v. An unknown key is an error, so that no primitive is ignored.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w, in %.200s", err, raw)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value in %.200s", raw)
	}
	return nil
}

// generic returns a value in the types of JSON: maps, slices, strings, float64s.
func generic(v any) (out any, err error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(raw, &out)
	return out, err
}

// readGeneric reads a JSON file.
func readGeneric(path string) (out map[string]any, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// pair is a key and a value of metadata.
type pair struct{ key, value string }

// UnmarshalJSON reads ["key", "value"].
func (p *pair) UnmarshalJSON(raw []byte) error {
	var both []string
	if err := json.Unmarshal(raw, &both); err != nil {
		return err
	}
	if len(both) != 2 {
		return fmt.Errorf("metadata is [key, value]; got %s", raw)
	}
	p.key, p.value = both[0], both[1]
	return nil
}

// MarshalJSON writes ["key", "value"].
func (p pair) MarshalJSON() ([]byte, error) { return json.Marshal([]string{p.key, p.value}) }
