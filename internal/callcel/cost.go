package callcel

import (
	"fmt"
	"math"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// sizes is what the estimate of costs assumes about the sizes of what a call brings.
type sizes struct{}

// EstimateSize returns the size of a variable or of a part of it.
func (sizes) EstimateSize(element cost.AstNode) *cost.SizeEstimate {
	if element.ComputedSize() != nil {
		return nil
	}
	size := cost.RangedSizeEstimate(0, maxText)
	switch element.Type().Kind() {
	case types.ListKind, types.MapKind:
		size = cost.RangedSizeEstimate(0, maxEntries)
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.TimestampKind, types.DurationKind:
		size = cost.FixedSizeEstimate(1)
	default:
	}
	return &size
}

// EstimateCallCost leaves the cost of functions to CEL.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// anySizes assumes nothing about sizes.
type anySizes struct{ sizes }

// EstimateSize returns nil, which is any size.
func (anySizes) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }

func costText(c uint64) string {
	if c == math.MaxUint64 {
		return "any number of units"
	}
	return fmt.Sprintf("%d units", c)
}
