// Package curve fits lines to measurements and writes them as CSV and SVG.
package curve

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Point is one measurement.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Series is one line of a curve, in the order of its x.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Curve is a diagram with a few series.
type Curve struct {
	Name   string   `json:"name"` // of its files, without an extension
	Title  string   `json:"title"`
	X      string   `json:"x"`     // label of the axis
	Y      string   `json:"y"`     // label of the axis, with the unit
	Unit   string   `json:"unit"`  // of y
	LogX   bool     `json:"log_x"` // the axis is logarithmic; x must be above 0
	LogY   bool     `json:"log_y"` // likewise
	Shape  Shape    `json:"shape"` // what is fitted
	Series []Series `json:"series"`
}

// Shape is what is expected of a curve.
type Shape string

// The shapes.
const (
	Linear Shape = "linear" // y grows with x; the slope is per unit of x
	Flat   Shape = "flat"   // y hardly grows; the slope is per tenfold of x
)

// Line is y = Intercept + Slope × x, with the logarithm to base 10 of x if the shape is Flat.
type Line struct {
	Slope, Intercept float64
	R2               float64 // the share of the variance of y that the line explains
}

// Fit fits a line of a shape to points by least squares. It needs at least two different x.
func Fit(shape Shape, points []Point) Line {
	n := float64(len(points))
	var sumX, sumY float64
	for _, p := range points {
		sumX += shape.of(p.X)
		sumY += p.Y
	}
	meanX, meanY := sumX/n, sumY/n
	var xx, xy, yy float64
	for _, p := range points {
		dx, dy := shape.of(p.X)-meanX, p.Y-meanY
		xx += dx * dx
		xy += dx * dy
		yy += dy * dy
	}
	l := Line{Slope: xy / xx, R2: 1}
	l.Intercept = meanY - l.Slope*meanX
	if yy > 0 {
		l.R2 = xy * xy / (xx * yy)
	}
	return l
}

// Per returns the unit of x in slopes: "per interceptor", or "per tenfold" if the shape is
// Flat. The label of the axis must be a plural.
func (c *Curve) Per() string {
	if c.Shape == Flat {
		return "per tenfold"
	}
	return "per " + strings.TrimSuffix(c.X, "s")
}

func (s Shape) of(x float64) float64 {
	if s == Flat {
		return math.Log10(x)
	}
	return x
}

// CSV returns the points as comma-separated values: one line for each x, one column for each
// series. All series must have the same x.
func (c *Curve) CSV() string {
	var b strings.Builder
	b.WriteString(quoted(c.X))
	for _, s := range c.Series {
		b.WriteString("," + quoted(s.Name+" ("+c.Unit+")"))
	}
	b.WriteString("\n")
	for i, p := range c.Series[0].Points {
		b.WriteString(strconv.FormatFloat(p.X, 'f', -1, 64))
		for _, s := range c.Series {
			fmt.Fprintf(&b, ",%.1f", s.Points[i].Y)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func quoted(text string) string {
	if strings.ContainsAny(text, ",\"") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}
