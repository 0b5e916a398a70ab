/* What Pacemaker's public headers say about resource agents. */
#include <crm/crm.h>
#include <crm/services.h>
#include <crm/common/results.h>
#include <crm/msg_xml.h>
#include <crm/pengine/common.h>
