package curve

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The drawing, in pixels.
const (
	width, height = 640, 400
	left, right   = 90, 20
	top, bottom   = 70, 55
)

// colors of the series; distinguishable without color vision.
var colors = []string{"#0b6e99", "#d1600a", "#6b4c9a", "#4d7c0f"}

const style = `text { font: 12px sans-serif; fill: #333 } .title { font-size: 15px; font-weight: bold } ` +
	`.grid { stroke: #ddd } .axis { stroke: #666 } .line { fill: none; stroke-width: 2 }`

// SVG draws the curve: a title, two axes with labels, a grid, a legend, and a line with a
// mark at each point for each series.
func (c *Curve) SVG() string {
	x, y := c.axes()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(c.Title), style)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(&b, left, 22, "start", `class="title"`, c.Title)
	for _, tick := range x.ticks() {
		at := x.at(tick)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", at, top, at, height-bottom)
		text(&b, at, height-bottom+18, "middle", "", number(tick))
	}
	for _, tick := range y.ticks() {
		at := y.at(tick)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", left, at, width-right, at)
		text(&b, left-8, at+4, "end", "", number(tick))
	}
	fmt.Fprintf(&b, `<path class="axis" fill="none" d="M%d %d V%d H%d"/>`+"\n", left, top, height-bottom, width-right)
	text(&b, (left+width-right)/2, height-14, "middle", "", c.X)
	text(&b, 0, 0, "middle", fmt.Sprintf(`transform="translate(20 %d) rotate(-90)"`, (top+height-bottom)/2), c.Y)
	for i, s := range c.Series {
		drawSeries(&b, s, colors[i%len(colors)], x, y)
		legend, row := float64(left+i%2*270), i/2*16 // two in a row
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="14" height="4" fill="%s"/>`+"\n",
			legend, 38+row, colors[i%len(colors)])
		text(&b, legend+20, float64(45+row), "start", "", s.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawSeries(b *strings.Builder, s Series, color string, x, y axis) {
	corners := make([]string, 0, len(s.Points))
	for _, p := range s.Points {
		corners = append(corners, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x.at(p.X), y.at(p.Y), color)
	}
	fmt.Fprintf(b, `<polyline class="line" stroke="%s" points="%s"/>`+"\n", color, strings.Join(corners, " "))
}

func text(b *strings.Builder, x, y float64, anchor, attributes, content string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n",
		x, y, anchor, attributes, html.EscapeString(content))
}

// axis maps values to pixels.
type axis struct {
	log        bool
	low, high  float64 // values at the ends
	start, end float64 // pixels at the ends
}

func (c *Curve) axes() (x, y axis) {
	x = axis{log: c.LogX, low: math.Inf(1), high: math.Inf(-1), start: left, end: width - right}
	y = axis{log: c.LogY, low: math.Inf(1), high: math.Inf(-1), start: height - bottom, end: top}
	for _, s := range c.Series {
		for _, p := range s.Points {
			x.include(p.X)
			y.include(p.Y)
		}
	}
	x.round()
	y.round()
	return x, y
}

func (a *axis) include(v float64) { a.low, a.high = min(a.low, v), max(a.high, v) }

// round extends the axis to whole powers of ten, or to 0 and a whole number of steps.
func (a *axis) round() {
	if a.log {
		a.low = math.Pow(10, math.Floor(math.Log10(a.low)))
		a.high = math.Pow(10, math.Ceil(math.Log10(a.high)))
		if a.low == a.high {
			a.high *= 10
		}
		return
	}
	a.low = min(a.low, 0)
	step := a.step()
	a.high = math.Ceil(max(a.high, step)/step) * step
}

// step is the distance of ticks: 1, 2 or 5 times a power of ten, so that there are at most ten.
func (a *axis) step() float64 {
	span := max(a.high-a.low, math.SmallestNonzeroFloat32)
	power := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, factor := range []float64{1, 2, 5} {
		if span/(factor*power) <= 9 {
			return factor * power
		}
	}
	return 10 * power
}

func (a *axis) ticks() []float64 {
	var ticks []float64
	if a.log {
		for v := a.low; v <= a.high*1.001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := a.step()
	for i := 0; a.low+float64(i)*step <= a.high+step/1000; i++ {
		ticks = append(ticks, a.low+float64(i)*step)
	}
	return ticks
}

func (a *axis) at(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.log {
		share = math.Log10(v/a.low) / math.Log10(a.high/a.low)
	}
	return a.start + share*(a.end-a.start)
}

// number formats a tick: 10,000 or 0.5.
func number(v float64) string {
	digits := fmt.Sprintf("%.6g", v)
	if v >= 1000 {
		digits = fmt.Sprintf("%.0f", v)
		for at := len(digits) - 3; at > 0; at -= 3 {
			digits = digits[:at] + "," + digits[at:]
		}
	}
	return digits
}
