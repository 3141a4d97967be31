package fieldpath_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"

	"github.com/hauberk-rpc/hauberk/internal/fieldpath"
)

// TestAllocations: a string of a message of generated code is read without an allocation.
func TestAllocations(t *testing.T) {
	r, err := fieldpath.NewReader(fieldpath.String, "source_context.file_name")
	if err != nil {
		t.Fatal(err)
	}
	var msg any = &apipb.Api{SourceContext: &sourcecontextpb.SourceContext{FileName: "f"}}
	if n := testing.AllocsPerRun(100, func() { r.Text(msg) }); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}

// BenchmarkText reads a string within a message of generated code.
func BenchmarkText(b *testing.B) {
	r, err := fieldpath.NewReader(fieldpath.String, "source_context.file_name")
	if err != nil {
		b.Fatal(err)
	}
	api := &apipb.Api{SourceContext: &sourcecontextpb.SourceContext{FileName: "f"}}
	b.Run("generated getters", func(b *testing.B) {
		for b.Loop() {
			_ = api.GetSourceContext().GetFileName()
		}
	})
	b.Run("path", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Text(api)
		}
	})
}
