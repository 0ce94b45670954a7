// Form `gpt2_buffer`: GPT-2 of old: a tril buffer, cut to size, where, finfo.min. A buffer's values are data: used as a mask tensor.
// Read as: full, mask tensor, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, scale = 0.15811388109099567, empty_rows = "mean", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>, %arg3: !torch.vtensor<[1,1,80,80],i1>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int2 = torch.constant.int 2
    %int0 = torch.constant.int 0
    %int63 = torch.constant.int 63
    %0 = torch.aten.narrow %arg3, %int2, %int0, %int63 : !torch.vtensor<[1,1,80,80],i1>, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,1,63,80],i1>
    %int3 = torch.constant.int 3
    %1 = torch.aten.narrow %0, %int3, %int0, %int63 : !torch.vtensor<[1,1,63,80],i1>, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %int1 = torch.constant.int 1
    %2 = torch.aten.select.int %1, %int1, %int0 : !torch.vtensor<[1,1,63,63],i1>, !torch.int, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %3 = torch.aten.select.int %2, %int0, %int0 : !torch.vtensor<[1,63,63],i1>, !torch.int, !torch.int -> !torch.vtensor<[63,63],i1>
    %4 = torch.aten.unsqueeze %3, %int0 : !torch.vtensor<[63,63],i1>, !torch.int -> !torch.vtensor<[1,63,63],i1>
    %5 = torch.aten.unsqueeze %4, %int1 : !torch.vtensor<[1,63,63],i1>, !torch.int -> !torch.vtensor<[1,1,63,63],i1>
    %float0.000000e00 = torch.constant.float 0.000000e+00
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %6 = torch.aten.where.Scalar %5, %float0.000000e00, %float-Inf : !torch.vtensor<[1,1,63,63],i1>, !torch.float, !torch.float -> !torch.vtensor<[1,1,63,63],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %7 = torch.aten.to.dtype %6, %int6, %false, %false, %none : !torch.vtensor<[1,1,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,1,63,63],f32>
    %8:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg0, value = %arg2, bias = %7, scale = 0.15811388109099567, empty_rows = "mean", algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[1,1,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %8#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
