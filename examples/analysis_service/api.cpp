// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/api.hpp"

#include "analysis_service/api_input.hpp"
#include "analysis_service/blocking.hpp"
#include "analysis_service/json_text.hpp"

#include <spillway/http/http_request.hpp>
#include <spillway/http/http_response.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace analysis {

using spillway::http_request;
using spillway::http_response;

namespace {

using answer = boost::asio::awaitable<http_response>;

http_response refuse(const http_request& request, const query_refusal& refusal) {
  return http_response::problem(request, 400, fmt::format("query parameter '{}': {}", refusal.parameter, refusal.reason));
}

http_response refuse(const http_request& request, const db_error& error) {
  if (error == spillway::db_errc::foreign_token) return http_response::problem(request, 400, foreign_token_detail());
  // What the database takes for an invalid request is a mistake of ours, not of the client.
  if (error == spillway::errc::invalid) return http_response::problem(request, 500, "the server asked its database something wrong");
  return http_response::problem(request, error.code(), "the database cannot answer at the moment");
}

parameter_lookup query_of(const http_request& request) {
  return [&request](std::string_view name) { return request.query(name); };
}

/// The first query parameter that is unknown, or given twice.
std::optional<query_refusal> unknown_parameter(const http_request& request, std::initializer_list<std::string_view> allowed) {
  const auto given = request.query_parameters();
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string name{given[i].name.substr(0, 64)};
    if (std::ranges::find(allowed, given[i].name) == allowed.end()) {
      return query_refusal{name, fmt::format("it is unknown here; allowed: {}", fmt::join(allowed, ", "))};
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (given[j].name == given[i].name) return query_refusal{name, "it is given twice"};
    }
  }
  return std::nullopt;
}

unix_ms now_of(const api_context& context) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(context.clock.wall_now().time_since_epoch()).count();
}

/// A request on its way through a handler.
struct api_call {
  http_request& request;
  spillway::consistency_token token;  ///< What the client has seen, and then what was written for him.

  /// For the database. What a change is decided by is read from the primary: a replica may not know yet what it is about.
  session_options options() {
    session_options chosen{request.until()};
    chosen.token = &token;
    chosen.on_primary = changes();
    return chosen;
  }
  [[nodiscard]] bool changes() const noexcept {
    return request.method() != spillway::http_method::get && request.method() != spillway::http_method::head;
  }
};

/// The handlers. One object serves all requests; each member answers one route.
class project_api {
 public:
  explicit project_api(const api_context& context) : context_{context} {}

  using handler = answer (project_api::*)(api_call&);

  /// Any of the handlers, with the token before it and after it.
  answer serve(handler member, http_request& request) {
    const auto header = request.header(token_header);
    const auto token = parse_token(header, header && context_.token_system ? context_.token_system() : std::nullopt);
    if (!token) co_return http_response::problem(request, token.error().status, token.error().detail);
    api_call call{request, *token};
    (void)call.token.merge(context_.queue.recorded());  // it could only be of another system while the server changes to that
    auto response = co_await (this->*member)(call);
    if (call.changes() && !call.token.empty()) response.set(token_header, call.token.to_string());
    co_return response;
  }

  answer create_project(api_call& call) {
    auto& request = call.request;
    const auto input = parse_project(request.body(), request.header("Content-Type"));
    if (!input) co_return http_response::problem(request, input.error().status, input.error().detail);
    auto work = [&] { return create(call, *input); };
    co_return co_await run(request, work);
  }

  answer list_projects(api_call& call) {
    auto& request = call.request;
    if (const auto wrong = unknown_parameter(request, {"limit", "cursor"})) co_return refuse(request, *wrong);
    const auto limit = parse_limit(query_of(request));
    if (!limit) co_return refuse(request, limit.error());
    const auto after = parse_id_cursor(query_of(request));
    if (!after) co_return refuse(request, after.error());
    auto work = [&] {
      const auto projects = context_.records.projects(*after, *limit + 1, call.options());
      if (!projects) return refuse(request, projects.error());
      return page_of(*projects, *limit, [](const project_record& project) { return to_json(project); });
    };
    co_return co_await run(request, work);
  }

  answer show_project(api_call& call) {
    auto& request = call.request;
    auto work = [&] {
      return with_project(call, [](const project_record& project) { return http_response::json(to_json(project)); });
    };
    co_return co_await run(request, work);
  }

  answer start_analysis(api_call& call) {
    auto& request = call.request;
    if (!request.body().empty()) co_return http_response::problem(request, 422, "this request takes no body");
    auto work = [&] {
      return with_project(call, [&](const project_record& project) { return start(call, project); });
    };
    co_return co_await run(request, work);
  }

  answer list_analyses(api_call& call) {
    auto& request = call.request;
    if (const auto wrong = unknown_parameter(request, {"limit", "cursor"})) co_return refuse(request, *wrong);
    const auto limit = parse_limit(query_of(request));
    if (!limit) co_return refuse(request, limit.error());
    const auto after = parse_id_cursor(query_of(request));
    if (!after) co_return refuse(request, after.error());
    auto work = [&] {
      return with_project(call, [&](const project_record& project) {
        const auto analyses = context_.records.analyses(project.id, *after, *limit + 1, call.options());
        if (!analyses) return refuse(request, analyses.error());
        return page_of(*analyses, *limit, [&](const analysis_record& analysis) { return to_json(analysis, context_.queue.progress(analysis.id)); });
      });
    };
    co_return co_await run(request, work);
  }

  answer show_analysis(api_call& call) {
    auto& request = call.request;
    auto work = [&] {
      return with_analysis(call, [&](const analysis_record& analysis) {
        return http_response::json(to_json(analysis, context_.queue.progress(analysis.id))).set("Cache-Control", "no-store");
      });
    };
    co_return co_await run(request, work);
  }

  answer cancel_analysis(api_call& call) {
    auto& request = call.request;
    auto work = [&] {
      return with_analysis(call, [&](const analysis_record& analysis) {
        const auto cancelled = context_.queue.cancel(analysis.id, call.options());
        if (!cancelled) return refuse(request, cancelled.error());
        if (!*cancelled) {
          return http_response::problem(request, 409, fmt::format("analysis {} is {}; only a queued or running one can be cancelled", analysis.id,
                                                                  to_string(analysis.status)));
        }
        return http_response{204};
      });
    };
    co_return co_await run(request, work);
  }

  answer show_summary(api_call& call) {
    auto& request = call.request;
    auto work = [&] {
      return with_complete_analysis(call, [](const analysis_record& analysis) { return http_response::json(analysis.result); });
    };
    co_return co_await run(request, work);
  }

  answer list_files(api_call& call) {
    auto& request = call.request;
    auto work = [&] {
      return with_complete_analysis(call, [&](const analysis_record& analysis) { return files_of(call, analysis); });
    };
    co_return co_await run(request, work);
  }

 private:
  /// Runs `work` where it may block, unless it had to wait there until nobody wanted the answer any more.
  template <class Work>
  answer run(const http_request& request, Work& work) {
    auto in_time = [&] {
      if (!request.until().passed(context_.clock.now())) return work();
      return http_response::problem(request, 503, "the server is too busy; nothing was done").set("Retry-After", "1");
    };
    co_return co_await run_blocking(context_.blocking, in_time);
  }

  http_response create(api_call& call, const project_input& input) {
    const auto& request = call.request;
    const auto directory = context_.root.open(input.path);
    if (!directory) return http_response::problem(request, 422, fmt::format("'path': {}", directory.error().reason));
    const auto slash = directory->path.rfind('/');
    auto name = !input.name.empty() ? input.name : directory->path.substr(slash == std::string::npos ? 0 : slash + 1);
    if (name.empty()) name = "root";
    const auto project = context_.records.add_project(name, directory->path, now_of(context_), call.options());
    if (!project && project.error() == spillway::db_errc::unique_violation) {
      const auto same_path = context_.records.project_at(directory->path, call.options());
      if (!same_path) return refuse(request, same_path.error());
      return http_response::problem(
          request, 409,
          *same_path ? fmt::format("project {} has this path already", (*same_path)->id)
                     : fmt::format("a project is called '{}' already; choose another 'name'", name));
    }
    if (!project) return refuse(request, project.error());
    return http_response::json(to_json(*project), 201).set("Location", fmt::format("/v1/projects/{}", project->id));
  }

  http_response start(api_call& call, const project_record& project) {
    const auto& request = call.request;
    const auto analysis = context_.queue.submit(project.id, call.options());
    if (analysis) {
      return http_response::json(to_json(*analysis, std::nullopt), 202).set("Location", fmt::format("/v1/analyses/{}", analysis->id));
    }
    switch (analysis.error().kind) {
      case submit_failure::already_active:
        return http_response::problem(request, 409, fmt::format("project {} has an analysis that is queued or running", project.id));
      case submit_failure::queue_full:
        return http_response::problem(request, 503, "the queue of analyses is full").set("Retry-After", "10");
      case submit_failure::stopping:
        return http_response::problem(request, 503, "the server is stopping").set("Retry-After", "10");
      case submit_failure::database: break;
    }
    return refuse(request, analysis.error().error);
  }

  http_response files_of(api_call& call, const analysis_record& analysis) {
    const auto& request = call.request;
    if (const auto wrong = unknown_parameter(request, {"fields", "sort", "limit", "cursor"})) return refuse(request, *wrong);
    const auto query = parse_file_query(query_of(request), analysis.id);
    if (!query) return refuse(request, query.error());
    const auto files = context_.records.files(analysis, *query, call.options());
    if (!files) return refuse(request, files.error());
    if (files->empty() && files_found(analysis) > 0) {
      const auto left = context_.records.has_files(analysis, call.options());
      if (!left) return refuse(request, left.error());
      if (!*left) return http_response::problem(request, 410, fmt::format("the files of analysis {} are no longer kept; its summary is", analysis.id));
    }
    const auto shown = std::min(files->size(), static_cast<std::size_t>(query->limit));
    std::vector<std::string> items;
    items.reserve(shown);
    for (std::size_t i = 0; i < shown; ++i) items.push_back(to_json((*files)[i], query->fields));
    std::optional<std::string> next;
    if (files->size() > shown) next = encode_cursor(*query, analysis.id, (*files)[shown - 1].id);
    return http_response::json(page_json(items, next));
  }

  /// One page of records that are ordered by id; `records` holds one more than `limit` if there is another page.
  template <class Record, class Json>
  static http_response page_of(const std::vector<Record>& records, std::int64_t limit, Json json) {
    const auto shown = std::min(records.size(), static_cast<std::size_t>(limit));
    std::vector<std::string> items;
    for (std::size_t i = 0; i < shown; ++i) items.push_back(json(records[i]));
    std::optional<std::string> next;
    if (records.size() > shown) next = std::to_string(records[shown - 1].id);
    return http_response::json(page_json(items, next));
  }

  template <class Use>
  http_response with_project(api_call& call, Use use) {
    const auto& request = call.request;
    const auto id = parse_id(request.parameter("id"));
    if (!id) return http_response::problem(request, 404, "a project's id is a positive whole number");
    const auto project = context_.records.project(*id, call.options());
    if (!project) return refuse(request, project.error());
    if (!*project) return http_response::problem(request, 404, fmt::format("there is no project {}", *id));
    return use(**project);
  }

  template <class Use>
  http_response with_analysis(api_call& call, Use use) {
    const auto& request = call.request;
    const auto id = parse_id(request.parameter("id"));
    if (!id) return http_response::problem(request, 404, "an analysis' id is a positive whole number");
    const auto analysis = context_.records.analysis(*id, call.options());
    if (!analysis) return refuse(request, analysis.error());
    if (!*analysis) return http_response::problem(request, 404, fmt::format("there is no analysis {}", *id));
    return use(**analysis);
  }

  template <class Use>
  http_response with_complete_analysis(api_call& call, Use use) {
    const auto& request = call.request;
    return with_analysis(call, [&](const analysis_record& analysis) {
      if (analysis.status == analysis_status::complete) return use(analysis);
      return http_response::problem(request, 409, fmt::format("analysis {} is {}; it has results once it is complete", analysis.id,
                                                              to_string(analysis.status)));
    });
  }

  api_context context_;
};

}  // namespace

void add_api_routes(spillway::http_router& router, const api_context& context) {
  const auto api = std::make_shared<project_api>(context);
  const auto calls = [&api](project_api::handler member) {
    return [api, member](http_request& request) { return api->serve(member, request); };
  };
  router.post("/v1/projects", calls(&project_api::create_project));
  router.get("/v1/projects", calls(&project_api::list_projects));
  router.get("/v1/projects/{id}", calls(&project_api::show_project));
  router.post("/v1/projects/{id}/analyses", calls(&project_api::start_analysis));
  router.get("/v1/projects/{id}/analyses", calls(&project_api::list_analyses));
  router.get("/v1/analyses/{id}", calls(&project_api::show_analysis));
  router.del("/v1/analyses/{id}", calls(&project_api::cancel_analysis));
  router.get("/v1/analyses/{id}/summary", calls(&project_api::show_summary));
  router.get("/v1/analyses/{id}/files", calls(&project_api::list_files));
}

}  // namespace analysis
