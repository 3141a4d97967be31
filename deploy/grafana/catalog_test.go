package grafana_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promql = parser.NewParser(parser.Options{})

// catalog contains the names of metrics, the names of their labels, and the values of each
// label in all metrics.
type catalog struct {
	metrics map[string]names
	values  map[string]names
}

type names map[string]bool

func catalogOf(samples []sample) catalog {
	c := catalog{make(map[string]names), make(map[string]names)}
	for _, s := range samples {
		metric := s.labels.Get(model.MetricNameLabel)
		if c.metrics[metric] == nil {
			c.metrics[metric] = make(names)
		}
		s.labels.Range(func(l labels.Label) {
			c.metrics[metric][l.Name] = true
			if c.values[l.Name] == nil {
				c.values[l.Name] = make(names)
			}
			c.values[l.Name][l.Value] = true
		})
	}
	return c
}

// check returns the labels of a query's result, and an error for all names and values in the
// query that do not exist.
func (c catalog) check(query string) (names, error) {
	expr, err := promql.ParseExpr(query)
	if err != nil {
		return nil, err
	}
	return c.labelsOf(expr)
}

func (c catalog) labelsOf(node parser.Node) (names, error) {
	switch e := node.(type) {
	case *parser.VectorSelector:
		return c.labelsOfSelector(e)
	case *parser.AggregateExpr:
		return c.labelsOfAggregate(e)
	case *parser.BinaryExpr:
		return c.labelsOfBinary(e)
	case *parser.Call:
		found, err := c.labelsOfChildren(e)
		if e.Func.Name == "histogram_quantile" {
			if !found["le"] {
				err = errors.Join(err, fmt.Errorf("%s: there is no label le", e))
			}
			delete(found, "le")
		}
		delete(found, model.MetricNameLabel)
		return found, err
	default:
		return c.labelsOfChildren(node)
	}
}

// labelsOfChildren is for expressions that keep the labels of their operands.
func (c catalog) labelsOfChildren(node parser.Node) (names, error) {
	all := make(names)
	var errs []error
	for child := range parser.ChildrenIter(node) {
		found, err := c.labelsOf(child)
		maps.Copy(all, found)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

func (c catalog) labelsOfSelector(e *parser.VectorSelector) (names, error) {
	found, ok := c.metrics[e.Name]
	if !ok {
		return nil, fmt.Errorf("there is no metric %q", e.Name)
	}
	var errs []error
	for _, m := range e.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		if !found[m.Name] {
			errs = append(errs, fmt.Errorf("%s has no label %q", e.Name, m.Name))
			continue
		}
		for _, value := range fixed(m) {
			if !c.values[m.Name][value] {
				errs = append(errs, fmt.Errorf("%s: no label %s has the value %q", e.Name, m.Name, value))
			}
		}
	}
	return maps.Clone(found), errors.Join(errs...)
}

var alternatives = regexp.MustCompile(`^[\w|]+$`)

// fixed returns the values that a matcher names.
func fixed(m *labels.Matcher) []string {
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		return []string{m.Value}
	}
	if alternatives.MatchString(m.Value) {
		return strings.Split(m.Value, "|")
	}
	return nil
}

func (c catalog) labelsOfAggregate(e *parser.AggregateExpr) (names, error) {
	found, err := c.labelsOf(e.Expr)
	kept := make(names)
	for _, name := range e.Grouping {
		if found != nil && !found[name] {
			err = errors.Join(err, fmt.Errorf("there is no label %q to aggregate by in %s", name, e.Expr))
		}
		kept[name] = true
	}
	if e.Without {
		return nil, errors.Join(err, fmt.Errorf("%s: use by to name the labels that are kept", e))
	}
	return kept, err
}

func (c catalog) labelsOfBinary(e *parser.BinaryExpr) (names, error) {
	left, errLeft := c.labelsOf(e.LHS)
	right, errRight := c.labelsOf(e.RHS)
	err := errors.Join(errLeft, errRight)
	if e.LHS.Type() == parser.ValueTypeScalar {
		return right, err
	}
	if matching := e.VectorMatching; matching != nil && e.RHS.Type() != parser.ValueTypeScalar && err == nil {
		for _, name := range matching.MatchingLabels {
			if !left[name] || !right[name] {
				err = errors.Join(err, fmt.Errorf("there is no label %q to match on in %s", name, e))
			}
		}
		// Vectors match on all labels, so both must have the same labels.
		if !matching.On && len(matching.MatchingLabels) == 0 && !sameLabels(left, right) {
			err = errors.Join(err, fmt.Errorf("the sides of %s have different labels", e))
		}
	}
	return left, err
}

func sameLabels(left, right names) bool {
	a, b := maps.Clone(left), maps.Clone(right)
	delete(a, model.MetricNameLabel)
	delete(b, model.MetricNameLabel)
	return maps.Equal(a, b)
}

func sorted(n names) []string { return slices.Sorted(maps.Keys(n)) }
