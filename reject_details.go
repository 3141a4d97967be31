package hauberk

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// maxStatus bounds a status with violations, in bytes of protobuf. The status is sent in
	// base64, and its message once more: 8 KiB have room for both and for other trailers.
	maxStatus = 4608
	// perDetail is how many bytes a detail adds to a status beyond its own size, at most: its
	// type URL, tags and lengths.
	perDetail = 64
	// perViolation is the same for a violation: its tag and length.
	perViolation = 4
)

// details returns the details of the status, each of which can be encoded but for those
// that the rejection was given.
func (r *Rejection) details(domain string) []protoadapt.MessageV1 {
	all := append(make([]protoadapt.MessageV1, 0, 4+len(r.Details)), r.info(domain))
	if r.RetryAfter > 0 {
		all = append(all, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.RetryAfter)})
	}
	if len(r.QuotaViolations)+len(r.FieldViolations) > 0 {
		room := maxStatus - len(r.Message)
		for _, m := range all {
			room -= proto.Size(protoadapt.MessageV2Of(m)) + perDetail
		}
		for _, m := range r.Details {
			room -= proto.Size(m) + perDetail
		}
		all = r.appendViolations(all, room)
	}
	for _, m := range r.Details {
		all = append(all, protoadapt.MessageV1Of(m))
	}
	return all
}

// appendViolations appends the details with the first violations that fit into room, in bytes.
func (r *Rejection) appendViolations(all []protoadapt.MessageV1, room int) []protoadapt.MessageV1 {
	quota, bad := new(errdetails.QuotaFailure), new(errdetails.BadRequest)
	room -= perDetail
	for _, v := range r.QuotaViolations {
		if room -= sizeOfViolation(v.Subject, v.Description); room < 0 {
			break
		}
		quota.Violations = append(quota.Violations, &errdetails.QuotaFailure_Violation{
			Subject: valid(v.Subject), Description: valid(v.Description),
		})
	}
	if len(quota.GetViolations()) > 0 {
		all = append(all, quota)
		room -= perDetail
	}
	for _, v := range r.FieldViolations {
		if room -= sizeOfViolation(v.Field, v.Description); room < 0 {
			break
		}
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: valid(v.Field), Description: valid(v.Description),
		})
	}
	if len(bad.GetFieldViolations()) > 0 {
		all = append(all, bad)
	}
	return all
}

// sizeOfViolation returns the greatest size of a violation with two texts.
func sizeOfViolation(texts ...string) int {
	size := perViolation
	for _, text := range texts {
		size += 1 + protowire.SizeBytes(len(valid(text)))
	}
	return size
}
