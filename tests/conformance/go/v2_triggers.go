package main

import (
	"errors"
	"net/http"

	formance "github.com/formancehq/formance-sdk-go/v3"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/operations"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/sdkerrors"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/shared"
)

func v2CreateTrigger(l *life) error {
	data := shared.V2TriggerData{
		Event:      l.event(),
		WorkflowID: l.second.waiting.ID,
		Name:       formance.String("Second " + l.tag),
		Filter:     formance.String(`event.kind == "a"`),
		Vars:       map[string]any{"a": "event.a", "b": "event.a.b.c"},
	}
	reply, err := l.second.api.CreateTrigger(l.context, &data)
	if err != nil {
		return err
	}
	l.second.trigger = reply.V2CreateTriggerResponse.Data
	_, empty := l.second.api.CreateTrigger(l.context, &shared.V2TriggerData{})
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusCreated),
		equal("filter", l.second.trigger.Filter, data.Filter),
		equal("variables", l.second.trigger.Vars, data.Vars),
		refusedV2("an empty trigger", sdkerrors.SchemasErrorCodeValidation, empty),
	)
}

func v2ListTriggers(l *life) error {
	named := func(name string) ([]shared.V2Trigger, error) {
		request := operations.V2ListTriggersRequest{Name: &name, PageSize: formance.Int64(10)}
		reply, err := l.second.api.ListTriggers(l.context, request)
		if err != nil {
			return nil, err
		}
		return reply.V2ListTriggersResponse.Cursor.Data, nil
	}
	rows, err := named("second " + l.tag)
	if err != nil {
		return err
	}
	others, err := named("nobody's " + l.tag)
	if err != nil {
		return err
	}
	return errors.Join(
		equal("those of the name", rows, []shared.V2Trigger{l.second.trigger}),
		holds("of another name there are none, in a list", others != nil && len(others) == 0),
	)
}

func v2ReadTrigger(l *life) error {
	reply, err := l.second.api.ReadTrigger(l.context, operations.V2ReadTriggerRequest{TriggerID: l.second.trigger.ID})
	if err != nil {
		return err
	}
	_, unknown := l.second.api.ReadTrigger(l.context, operations.V2ReadTriggerRequest{TriggerID: unknownID})
	return errors.Join(
		equal("trigger", reply.V2ReadTriggerResponse.Data, l.second.trigger),
		refusedV2("an unknown trigger", sdkerrors.SchemasErrorCodeNotFound, unknown),
	)
}

func testTrigger(l *life) error {
	try := func(triggerID string, payload map[string]any) (*shared.V2TriggerTest, error) {
		request := operations.TestTriggerRequest{TriggerID: triggerID, RequestBody: payload}
		reply, err := l.second.api.TestTrigger(l.context, request)
		if err != nil {
			return nil, err
		}
		return &reply.V2TestTriggerResponse.Data, equal("status", reply.StatusCode, http.StatusOK)
	}
	tried, err := try(l.second.trigger.ID, map[string]any{"kind": "a", "a": 41})
	if err != nil {
		return err
	}
	other, err := try(l.second.trigger.ID, map[string]any{"kind": "b", "a": 41})
	if err != nil {
		return err
	}
	_, unknown := try(unknownID, map[string]any{})
	return errors.Join(
		equal("the filter matches", tried.Filter.Match, true),
		equal("a variable", tried.Variables["a"], shared.Variables{Value: formance.String("41")}),
		holds("a variable without a value says why", tried.Variables["b"].Error != nil),
		equal("the filter matches another", other.Filter.Match, false),
		refusedV2("an unknown trigger", sdkerrors.SchemasErrorCodeNotFound, unknown),
	)
}

func v2ListTriggersOccurrences(l *life) error {
	read := func(pageSize *int64, cursor *string) (page[shared.V2TriggerOccurrence], error) {
		request := operations.V2ListTriggersOccurrencesRequest{
			TriggerID: l.second.trigger.ID, PageSize: pageSize, Cursor: cursor,
		}
		reply, err := l.second.api.ListTriggersOccurrences(l.context, request)
		if err != nil {
			return page[shared.V2TriggerOccurrence]{}, err
		}
		found := reply.V2ListTriggersOccurrencesResponse.Cursor
		return page[shared.V2TriggerOccurrence]{found.Data, found.HasMore, found.Next, found.Previous, found.PageSize}, nil
	}
	for index := 0; index < 2; index++ {
		if err := l.publish(map[string]any{"kind": "a", "a": 41}); err != nil {
			return err
		}
	}
	err := until("two occurrences", func() (bool, error) {
		found, err := read(nil, nil)
		return len(found.rows) >= 2, err
	})
	if err != nil {
		return err
	}
	rows, err := walked(1, read)
	if err != nil {
		return err
	}
	found := []error{equal("how many", len(rows), 2)}
	for _, row := range rows {
		found = append(found,
			equal("trigger", row.TriggerID, l.second.trigger.ID),
			equal("event", row.Event, map[string]any{"kind": "a", "a": 41}),
			holds("a variable cannot be had, and it says so", row.Error != nil && row.WorkflowInstanceID == nil),
		)
	}
	return errors.Join(found...)
}

func v2DeleteTrigger(l *life) error {
	remove := func(triggerID string) (*operations.V2DeleteTriggerResponse, error) {
		return l.second.api.DeleteTrigger(l.context, operations.V2DeleteTriggerRequest{TriggerID: triggerID})
	}
	reply, err := remove(l.second.trigger.ID)
	if err != nil {
		return err
	}
	_, again := remove(l.second.trigger.ID)
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusNoContent),
		refusedV2("deleted twice", sdkerrors.SchemasErrorCodeNotFound, again),
	)
}
