// Where the kernels of a profile come from: which nodes of the model each call computes, and how
// much it has to do.
#pragma once

#include "host/lower_host.h"
#include "ir/module.h"

namespace repose {

// Watches a pipeline: is told of each pass that ran, in order.
class CallOrigins {
 public:
  void after_pass(const std::string& pass, const Module& module);
  // Of the calls that are left, by the variable that each is bound to: passes after fusion keep
  // variables. A call joined those calls whose results are gone; what it has to do is that of its
  // program before it was scheduled.
  CallProfiles profiles() const;

 private:
  Module lowered_;      // after legalize: a call for each operator
  Module unscheduled_;  // the last before schedule_programs
  bool is_scheduled_ = false;
};

}  // namespace repose
