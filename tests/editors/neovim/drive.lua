-- Read by Neovim before the plugin: carries out what the tests send, and stands where a person would.
-- `said` has what the plugin told, `asked` what it asked; `choose` and `type_in` are what the person does then.
_G.said, _G.asked = {}, {}
_G.choose = function()
  return nil
end
_G.type_in = function()
  return nil
end

vim.notify = function(text)
  table.insert(said, text)
end

vim.ui.select = function(items, options, on_choice)
  local texts = vim.tbl_map(options.format_item or tostring, items)
  table.insert(asked, { prompt = options.prompt, choices = texts })
  local index = choose(texts, options.prompt)
  on_choice(items[index], index)
end

vim.ui.input = function(options, on_confirm)
  table.insert(asked, { prompt = options.prompt })
  on_confirm(type_in(options.prompt))
end

-- Wait for a condition; fails with what the editor shows when it does not come.
function _G.wait(condition, what)
  local got
  local came = vim.wait(25000, function()
    got = condition()
    return got
  end, 10)
  if not came then
    local shown = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
    local told = vim.inspect({ said = said, statusline = require("sidestep").statusline() })
    error(("%s did not come; %s; buffer:\n%s"):format(what or "it", told, shown))
  end
  return got
end

-- The page of the run shown last, as text; nil while there is none.
function _G.page_text()
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(bufnr) and vim.b[bufnr].sidestep_run then
      return table.concat(vim.api.nvim_buf_get_lines(bufnr, 0, -1, false), "\n"), bufnr
    end
  end
end

-- Wait until the page has a text.
function _G.wait_for_page(text)
  return wait(function()
    local page = page_text()
    return page and page:find(text, 1, true) and page
  end, ("`%s` on the page"):format(text))
end

-- The answer goes to a file: what a remote call prints is broken into lines as wide as the screen.
function _G.carry_out(path)
  local ok, value = pcall(dofile, path)
  local answer = ok and { ok = true, value = value } or { ok = false, problem = tostring(value) }
  vim.fn.writefile({ vim.json.encode(answer) }, path .. ".answer")
  return 1
end

vim.opt.runtimepath:prepend(vim.env.SIDESTEP_PLUGIN)

vim.api.nvim_create_autocmd("VimEnter", {
  callback = function()
    io.stdout:write("listening\n")
    io.stdout:flush()
  end,
})
