;;; sidestep.el --- Durable workflows beside your code  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0
;; Version: 0.1.0
;; Package-Requires: ((emacs "28.1") (eglot "1.9") (project "0.8.1"))
;; Keywords: tools, processes, languages

;;; Commentary:

;; Write, run and follow Sidestep's workflows:
;;
;;   (require 'sidestep)
;;
;; Scripts in .sidestep/workflows are attached to the server by themselves.
;; `sidestep-run' starts one and shows it live; `sidestep-list' has the runs of
;; a folder; a run outlives its server, Emacs and the machine's sleep.
;;
;; The parts: sidestep-server.el (the connection), sidestep-run.el (the buffer
;; of a run) with sidestep-picture.el (what events add up to) and
;; sidestep-draw.el, sidestep-list.el, sidestep-verbs.el, sidestep-questions.el,
;; sidestep-arguments.el, sidestep-status.el (the mode line), sidestep-wire.el.

;;; Code:

(require 'python)
(require 'sidestep-server)
(require 'sidestep-status)
(require 'sidestep-run)
(require 'sidestep-verbs)
(require 'sidestep-questions)
(require 'sidestep-list)

(defcustom sidestep-attach t
  "Whether workflow scripts are attached to the server when they are opened."
  :type 'boolean
  :group 'sidestep)

;;;###autoload
(define-derived-mode sidestep-script-mode python-mode "Workflow"
  "Python of a workflow script.
A mode of its own, so that Sidestep serves these files and your usual server the
other ones."
  (when (and sidestep-attach buffer-file-name)
    (condition-case missing
        (progn
          (sidestep-server-command (sidestep-folder))
          (eglot-ensure))
      ;; The file is opened all the same.
      (user-error (message "%s" (error-message-string missing))))))

;;;###autoload
(add-to-list 'auto-mode-alist '("/\\.sidestep/workflows/[^/]+\\.py\\'" . sidestep-script-mode))

(provide 'sidestep)
;;; sidestep.el ends here
