package curve_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
)

// TestFit: least squares find the line that points are on, or nearest to.
func TestFit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		shape  curve.Shape
		points []curve.Point
		want   curve.Line
	}{
		{"a line", curve.Linear, []curve.Point{{0, 5}, {1, 7}, {4, 13}}, curve.Line{Slope: 2, Intercept: 5, R2: 1}},
		{"a level", curve.Linear, []curve.Point{{0, 5}, {1, 5}}, curve.Line{Intercept: 5, R2: 1}},
		{"no line", curve.Linear, []curve.Point{{0, 1}, {1, 4}, {2, 1}}, curve.Line{Intercept: 2}},
		{"near a line", curve.Linear, []curve.Point{{0, 0}, {1, 3}, {2, 3}}, curve.Line{Slope: 1.5, Intercept: 0.5, R2: 0.75}},
		{"each tenfold", curve.Flat, []curve.Point{{1, 10}, {10, 13}, {1000, 19}}, curve.Line{Slope: 3, Intercept: 10, R2: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := curve.Fit(tt.shape, tt.points)
			for _, pair := range [][2]float64{
				{got.Slope, tt.want.Slope}, {got.Intercept, tt.want.Intercept}, {got.R2, tt.want.R2},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-9 {
					t.Errorf("%+v; want %+v", got, tt.want)
				}
			}
		})
	}
}

func TestCSV(t *testing.T) {
	c := curve.Curve{X: "keys", Unit: "ns", Series: []curve.Series{
		{Name: "a, b", Points: []curve.Point{{1, 2.25}, {1e6, 30}}},
		{Name: "c", Points: []curve.Point{{1, 4}, {1e6, 5}}},
	}}
	if got, want := c.CSV(), "keys,\"a, b (ns)\",c (ns)\n1,2.2,4.0\n1000000,30.0,5.0\n"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

// TestSVG: for every kind of axis, the drawing is well-formed and each mark is inside it.
func TestSVG(t *testing.T) {
	for _, tt := range []struct {
		name       string
		logX, logY bool
		points     []curve.Point
	}{
		{"linear", false, false, []curve.Point{{0, 120}, {64, 990}}},
		{"logarithmic x", true, false, []curve.Point{{1, 120}, {1e6, 130.5}}},
		{"both logarithmic", true, true, []curve.Point{{1, 900}, {3e4, 1.2e6}}},
		{"one point", true, true, []curve.Point{{1, 1}}},
		{"all zero", false, false, []curve.Point{{0, 0}, {1, 0}}},
		{"below zero", false, false, []curve.Point{{0, -3}, {1, 4}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := curve.Curve{
				Title: "costs & <keys>", X: "keys", Y: "ns", LogX: tt.logX, LogY: tt.logY,
				Series: []curve.Series{{Name: "one", Points: tt.points}, {Name: "two", Points: tt.points}},
			}
			elements := parse(t, c.SVG())
			if len(elements["polyline"]) != 2 || len(elements["circle"]) != 2*len(tt.points) {
				t.Errorf("%d lines, %d marks", len(elements["polyline"]), len(elements["circle"]))
			}
			if n := len(elements["line"]); n < 3 || n > 30 {
				t.Errorf("%d lines of the grid", n)
			}
		})
	}
}

// parse returns the elements of a drawing, by name.
func parse(t *testing.T, svg string) map[string][]xml.StartElement {
	t.Helper()
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("not all places are numbers:\n%s", svg)
	}
	elements := make(map[string][]xml.StartElement)
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local] = append(elements[start.Name.Local], start)
		}
	}
}
