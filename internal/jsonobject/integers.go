package jsonobject

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// WithIntegers returns an object that a parser of JSON has read from data, with its large integers as they
// are written: those of 2⁵³ and more, of which a float64 holds only every second or fewer, are int64, or
// uint64 if they are beyond that. All other numbers stay float64. The result is object itself if data has no
// such number.
func WithIntegers(data []byte, object map[string]any) map[string]any {
	if !hasLong(data) {
		return object
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var exact map[string]any
	if err := d.Decode(&exact); err != nil {
		return object // cannot be: a parser has accepted it
	}
	plain(exact)
	return exact
}

// digits is how many 2⁵³ has.
const digits = 16

// hasLong reports whether a text has a number that may be 2⁵³ or more, or looks like that.
func hasLong(data []byte) bool {
	run := 0
	for _, c := range data {
		if c < '0' || c > '9' {
			run = 0
			continue
		}
		run++
		if run == digits {
			return true
		}
	}
	return false
}

// plain replaces the numbers in a value.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		return number(value.String())
	case []any:
		for i := range value {
			value[i] = plain(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = plain(value[name])
		}
	}
	return value
}

func number(text string) any {
	float, _ := strconv.ParseFloat(text, 64) // a parser has accepted it
	if math.Abs(float) < 1<<53 {
		return float
	}
	if integer, err := strconv.ParseInt(text, 10, 64); err == nil {
		return integer
	}
	if integer, err := strconv.ParseUint(text, 10, 64); err == nil {
		return integer
	}
	return float
}
